/**
 * What a person types into a remote terminal, with the few keys that are meant for this side: as in ssh, `~` at the
 * beginning of a line, and then `.` to hang up, `d` to leave the program running, `?` for help, `~` for itself.
 */
export class EscapeKeys {
  /** `start`: the next byte begins a line. `escape`: a `~` did, and is held back. */
  #state: 'start' | 'line' | 'escape' = 'start';

  /** What of it goes to the other side, and what this side is asked to do, after which nothing more is read. */
  take(typed: Uint8Array): {
    readonly bytes: Uint8Array;
    readonly wish: 'hang up' | 'leave' | 'help' | null;
  } {
    const out: number[] = [];
    for (const byte of typed) {
      if (this.#state === 'escape') {
        this.#state = 'line';
        const wish = wishes.get(byte);
        if (wish !== undefined) {
          this.#state = 'start';
          return { bytes: Uint8Array.from(out), wish };
        }
        if (byte !== tilde) out.push(tilde);
        out.push(byte);
      } else if (this.#state === 'start' && byte === tilde) {
        this.#state = 'escape';
        continue;
      } else {
        out.push(byte);
      }
      this.#state = byte === carriageReturn || byte === newline ? 'start' : 'line';
    }
    return { bytes: Uint8Array.from(out), wish: null };
  }
}

const tilde = 0x7e;
const carriageReturn = 0x0d;
const newline = 0x0a;
const wishes: ReadonlyMap<number, 'hang up' | 'leave' | 'help'> = new Map([
  [0x2e, 'hang up'],
  [0x64, 'leave'],
  [0x3f, 'help'],
]);

export const escapeHelp = [
  'at the beginning of a line:',
  '  ~.  hang up: the program gets SIGHUP',
  '  ~d  leave the program running; warmpool shell --attach goes on with it',
  '  ~?  this help',
  '  ~~  types ~',
].join('\r\n');

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';
import { findProgram } from '../support/docker-engine.ts';
import { mainProgram } from '../support/node-program.ts';
import { within } from '../support/within.ts';

export const ptyMissing = findProgram('python3') === null ? 'python3 is not installed' : null;

/**
 * The command line on a terminal of its own, which Node cannot make and Python can. When the command ends, it prints its
 * exit code and whether the terminal is as it was before.
 */
export class PseudoTerminal implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<unknown>;
  readonly #folder = mkdtempSync(join(tmpdir(), 'wp-pty-'));
  #shown = '';
  #seen = 0;

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    this.#child = spawn('python3', ['-c', driver, process.execPath, ...mainProgram, ...args], {
      cwd: packageRoot(),
      env: { PATH: process.env.PATH, HOME: this.#folder, TERM: 'xterm-256color', ...env },
    });
    this.#closed = once(this.#child, 'close');
    this.#child.stdout.on('data', (bytes: Buffer) => {
      this.#shown += bytes;
    });
    this.#child.stdin.on('error', () => {});
  }

  get shown(): string {
    return this.#shown;
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Sent to the command, not to what it runs. */
  resize(cols: number, rows: number): void {
    this.#child.stdin.write(`\u0000${cols}x${rows}\n`);
  }

  /** Settles when this was shown after what was waited for before. */
  async shows(text: string): Promise<void> {
    for (;;) {
      const at = this.#shown.indexOf(text, this.#seen);
      if (at >= 0) {
        this.#seen = at + text.length;
        return;
      }
      const more = once(this.#child.stdout, 'data');
      const ended = this.#closed.then(() => {
        if (!this.#shown.includes(text, this.#seen)) {
          throw new Error(`it ended without showing "${text}": ${this.#lastWords()}`);
        }
      });
      await within(Promise.race([more, ended]), () => `no "${text}" after ${this.#lastWords()}`);
    }
  }

  /** `exit CODE restored` at the end of a good command line. */
  async end(): Promise<string> {
    await within(this.#closed, () => `it does not end, after ${this.#lastWords()}`);
    return this.#shown.trim().split('\n').at(-1) ?? '';
  }

  #lastWords(): string {
    return JSON.stringify(this.#shown.slice(-2_000));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** stdin is typed, but for lines that begin with NUL: they say a size. */
const driver = `
import fcntl, os, pty, select, signal, struct, sys, termios
master, slave = pty.openpty()
def size(cols, rows): fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))
size(90, 25)
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2): os.dup2(slave, fd)
    os.closerange(3, 64)
    os.execv(sys.argv[1], sys.argv[1:])
typing = True
while True:
    ready, _, _ = select.select([master] + ([0] if typing else []), [], [], 0.05)
    if 0 in ready:
        data = os.read(0, 65536)
        if not data: typing = False
        while data:
            typed, mark, rest = data.partition(b'\\0')
            if typed: os.write(master, typed)
            if not mark: break
            line, _, data = rest.partition(b'\\n')
            size(*map(int, line.split(b'x')))
    if master in ready: os.write(1, os.read(master, 65536))
    done, status = os.waitpid(pid, os.WNOHANG) if not ready else (0, 0)
    if done:
        restored = 'restored' if termios.tcgetattr(slave) == before else 'NOT restored'
        print('\\nexit', os.waitstatus_to_exitcode(status), restored, flush=True)
        break
`;

import { WarmpoolError } from '../../src/domain/errors.ts';
import type { GuestProcess, OutputSink, ProcessExit } from '../../src/guest-link/guest.ts';

/** As the guest's: what a process may have delivered and not yet got credit back for. */
export const windowBytes = 262_144;

/**
 * A process that only pretends, with a real credit window. Commands: `true`, `exit N`, `echo WORDS`, `warn WORDS` (on
 * stderr), `cat`, `flood BYTES`, `hang` (until a signal), `deaf` (takes no stdin), `trap` (says which signals it gets,
 * ends at 15).
 */
export class FakeProcess implements GuestProcess {
  readonly pid = 42;
  readonly process = 1;
  readonly exited: Promise<ProcessExit>;
  readonly signals: number[] = [];
  readonly stdinBytes: number[] = [];
  released = 0;
  delivered = 0;
  stdinEnded = false;
  readonly #output: OutputSink;
  readonly #command: string;
  readonly #pending: { stream: 'stdout' | 'stderr'; bytes: Buffer }[] = [];
  #floodLeft = 0;
  #exit: ProcessExit | null = null;
  #settle: (exit: ProcessExit) => void = () => {};

  static start(argv: readonly string[], output: OutputSink): FakeProcess {
    const [command = '', ...args] = argv;
    switch (command) {
      case 'missing':
        throw new WarmpoolError('COMMAND_NOT_FOUND', 'missing: not found', {
          violations: [{ field: 'argv[0]', description: 'not found' }],
        });
      case 'forbidden':
        throw new WarmpoolError('COMMAND_NOT_EXECUTABLE', 'forbidden: permission denied');
      default:
        return new FakeProcess(command, args, output);
    }
  }

  private constructor(command: string, args: readonly string[], output: OutputSink) {
    this.#output = output;
    this.#command = command;
    this.exited = new Promise((resolve) => {
      this.#settle = resolve;
    });
    queueMicrotask(() => this.#run(args));
  }

  /** Delivered and not released: what its receiver holds. */
  get heldBytes(): number {
    return this.delivered - this.released;
  }

  release(byteCount: number): void {
    this.released += byteCount;
    this.#pump();
  }

  writeStdin(bytes: Uint8Array): Promise<void> {
    if (this.#exit) return Promise.resolve();
    this.stdinBytes.push(bytes.length);
    if (this.#command === 'deaf') return new Promise(() => {});
    if (this.#command === 'cat') this.#write('stdout', Buffer.from(bytes));
    return Promise.resolve();
  }

  endStdin(): void {
    this.stdinEnded = true;
    if (this.#command === 'cat') this.#end({ exitCode: 0 });
  }

  resize(): void {}

  signal(signalNumber: number): void {
    this.signals.push(signalNumber);
    if (this.#command === 'trap' && signalNumber !== 9) {
      this.#write('stdout', Buffer.from(`signal ${signalNumber}\n`));
      if (signalNumber === 15) this.#end({ exitCode: 3 });
    } else this.#end({ signal: signalNumber });
  }

  #run(args: readonly string[]): void {
    const words = Buffer.from(`${args.join(' ')}\n`);
    if (this.#command === 'flood') {
      this.#floodLeft = Number(args[0]);
      this.#pump();
    } else if (this.#command === 'echo') {
      this.#write('stdout', words);
      this.#end({ exitCode: 0 });
    } else if (this.#command === 'warn') {
      this.#write('stderr', words);
      this.#end({ exitCode: 0 });
    } else if (this.#command === 'trap') {
      this.#write('stdout', Buffer.from('ready\n'));
    } else if (this.#command === 'timeout') {
      this.#end({ signal: 9, timedOut: true });
    } else if (!['cat', 'hang', 'deaf'].includes(this.#command)) {
      this.#end({ exitCode: this.#command === 'exit' ? Number(args[0]) : 0 });
    }
  }

  #write(stream: 'stdout' | 'stderr', bytes: Buffer): void {
    this.#pending.push({ stream, bytes });
    this.#pump();
  }

  #end(exit: Partial<ProcessExit>): void {
    if (this.#exit) return;
    this.#exit = { exitCode: null, signal: null, timedOut: false, durationUs: 1_234, ...exit };
    this.#floodLeft = 0;
    this.#pump();
  }

  /** Delivers what the window allows, then the end. */
  #pump(): void {
    for (;;) {
      const room = windowBytes - this.heldBytes;
      if (room <= 0) return;
      const next = this.#pending[0];
      if (next) {
        const bytes = next.bytes.subarray(0, room);
        next.bytes = next.bytes.subarray(bytes.length);
        if (next.bytes.length === 0) this.#pending.shift();
        this.delivered += bytes.length;
        this.#output.onOutput(next.stream, bytes);
      } else if (this.#floodLeft > 0) {
        const bytes = Buffer.alloc(Math.min(room, this.#floodLeft, 16_384), 'x');
        this.#floodLeft -= bytes.length;
        this.delivered += bytes.length;
        this.#output.onOutput('stdout', bytes);
        if (this.#floodLeft === 0) this.#end({ exitCode: 0 });
      } else break;
    }
    if (this.#exit) this.#settle(this.#exit);
  }
}

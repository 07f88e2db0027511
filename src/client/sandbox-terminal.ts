import type { Process, TerminalSize } from '../operations/process.ts';
import { readOnce } from '../operations/read-once.ts';
import { readableStream, writableStream } from './byte-streams.ts';
import { translatedSequence } from './client-call.ts';
import { ProcessHandle } from './process-handle.ts';

/**
 * A process on a terminal of its own. Its output is raw bytes, which may cut a character in two: give them to a terminal
 * emulator as they are. Asking for the next piece says that the last one was dealt with, so `await` the emulator's own
 * callback in between, and a flood inside never piles up here:
 *
 *     for await (const bytes of terminal.output) await new Promise<void>((done) => xterm.write(bytes, done));
 */
export class SandboxTerminal extends ProcessHandle {
  readonly #process: Process;
  readonly #input: WritableStream<Uint8Array>;
  #asked = false;

  constructor(process: Process, options: { readonly persists: boolean }) {
    super(process, options);
    this.#process = process;
    this.#input = writableStream({ write: (bytes) => this.write(bytes), end: () => {} });
  }

  /** Pieces in order, once; ends after the last one, or throws what `wait` rejects with. */
  get output(): AsyncIterableIterator<Uint8Array> {
    this.#asked = true;
    const output = this.#process.output[Symbol.asyncIterator]();
    return translatedSequence(
      readOnce(
        async () => {
          const { done, value } = await output.next();
          return done === true ? undefined : value.bytes;
        },
        () => void output.return?.(),
      ),
    );
  }

  /** `output` as a stream of the web. */
  get readable(): ReadableStream<Uint8Array> {
    return readableStream(this.output);
  }

  /** What is typed, for `pipeTo`. Closing it types nothing. */
  get writable(): WritableStream<Uint8Array> {
    return this.#input;
  }

  resize(size: TerminalSize): void {
    this.#process.resize(size);
  }

  protected override discardUnread(): void {
    if (!this.#asked) this.#process.discardOutput();
  }
}

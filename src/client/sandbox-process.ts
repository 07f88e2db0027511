import { OutputBuffer } from '../operations/output-buffer.ts';
import type { Process, ProcessSink } from '../operations/process.ts';
import { readOnce } from '../operations/read-once.ts';
import { readableStream, writableStream } from './byte-streams.ts';
import { translatedSequence } from './client-call.ts';
import { ProcessHandle } from './process-handle.ts';

/**
 * A process with pipes. `stdout` and `stderr` are read independently, each once; together they may be one window behind,
 * and then the process waits. Read both, or start it with `stderr: 'ignore'`.
 */
export class SandboxProcess extends ProcessHandle {
  readonly #output: PipeOutput;
  readonly #stdin: WritableStream<Uint8Array>;

  constructor(process: Process, output: PipeOutput, options: { readonly persists: boolean }) {
    super(process, options);
    this.#output = output;
    this.#stdin = writableStream({
      write: (bytes) => this.write(bytes),
      end: () => this.end(),
      abort: () => this.end(),
    });
    output.begin(process);
  }

  /** Pieces in order; ends after the last one, or throws what `wait` rejects with. */
  get stdout(): AsyncIterableIterator<Uint8Array> & { readonly stream: () => ReadableStream<Uint8Array> } {
    return this.#output.read('stdout');
  }

  get stderr(): AsyncIterableIterator<Uint8Array> & { readonly stream: () => ReadableStream<Uint8Array> } {
    return this.#output.read('stderr');
  }

  /** The same input as `write` and `end`, for `pipeTo`. */
  get stdin(): WritableStream<Uint8Array> {
    return this.#stdin;
  }

  protected override discardUnread(): void {
    this.#output.discardUnread();
  }
}

/** Keeps the two streams of one process apart, each in a buffer of its own; together they hold one window. */
export class PipeOutput implements ProcessSink {
  readonly #buffers: Readonly<Record<'stdout' | 'stderr', OutputBuffer>>;
  readonly #asked = new Set<'stdout' | 'stderr'>();
  #process: Process | undefined;
  /** Released before the answer to the start had come. */
  #early = 0;

  constructor(options: { readonly ignoreStderr: boolean }) {
    const release = (bytes: number) => this.#release(bytes);
    this.#buffers = { stdout: new OutputBuffer(release), stderr: new OutputBuffer(release) };
    if (options.ignoreStderr) this.#buffers.stderr.discard();
  }

  onOutput(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    this.#buffers[stream].push(stream, bytes);
  }

  begin(process: Process): void {
    this.#process = process;
    if (this.#early > 0) process.release(this.#early);
    process.exited.then(
      () => this.#end(undefined),
      (error: unknown) => this.#end(error),
    );
  }

  read(
    stream: 'stdout' | 'stderr',
  ): AsyncIterableIterator<Uint8Array> & { readonly stream: () => ReadableStream<Uint8Array> } {
    this.#asked.add(stream);
    const buffer = this.#buffers[stream];
    const pieces = translatedSequence(
      readOnce(
        async () => (await buffer.read())?.bytes,
        () => buffer.discard(),
      ),
    );
    return Object.assign(pieces, { stream: () => readableStream(pieces) });
  }

  discardUnread(): void {
    for (const stream of ['stdout', 'stderr'] as const) {
      if (!this.#asked.has(stream)) this.#buffers[stream].discard();
    }
  }

  #release(bytes: number): void {
    if (this.#process === undefined) this.#early += bytes;
    else this.#process.release(bytes);
  }

  #end(error: unknown): void {
    this.#buffers.stdout.end(error);
    this.#buffers.stderr.end(error);
  }
}

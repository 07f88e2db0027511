import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import { Deferred } from '../deferred.ts';
import type { ExecExit__Output } from '../grpc/gen/warmpool/v1/ExecExit.ts';
import type { ExecStart } from '../grpc/gen/warmpool/v1/ExecStart.ts';
import type { ExecStreamRequest } from '../grpc/gen/warmpool/v1/ExecStreamRequest.ts';
import type { ExecStreamResponse__Output } from '../grpc/gen/warmpool/v1/ExecStreamResponse.ts';
import { durationMs } from './views.ts';

export type ExecCall = ClientDuplexStream<ExecStreamRequest, ExecStreamResponse__Output>;

/** Called for each piece of output, in order. While a returned promise is open nothing more is read, and the command waits. */
export type OnOutput = (stream: 'stdout' | 'stderr', bytes: Buffer) => void | Promise<void>;

export interface CommandExit {
  /** null when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly timedOut: boolean;
  readonly durationMs: number;
}

/** One running command. Abort the signal given to `execStream` to kill it. */
export class ExecSession {
  readonly #call: ExecCall;
  readonly #onOutput: OnOutput;
  readonly #errorOf: (error: ServiceError) => Error;
  readonly #started = new Deferred<number>();
  readonly #exited = new Deferred<CommandExit>();

  constructor(call: ExecCall, start: ExecStart, onOutput: OnOutput, errorOf: (error: ServiceError) => Error) {
    this.#call = call;
    this.#onOutput = onOutput;
    this.#errorOf = errorOf;
    call.on('data', (message: ExecStreamResponse__Output) => this.#onMessage(message));
    call.on('error', (error: ServiceError) => this.#fail(this.#errorOf(error)));
    call.on('end', () => this.#fail(new Error('the service ended the stream before the command did')));
    call.write({ start });
  }

  /** The pid; rejects when the command could not be started. */
  get started(): Promise<number> {
    return this.#started.promise;
  }

  /** Settles after all output was handed on. */
  get exited(): Promise<CommandExit> {
    return this.#exited.promise;
  }

  /** Settles when the bytes are on their way: await it before writing more. After the end it does nothing. */
  writeStdin(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => this.#call.write({ stdin: bytes }, () => resolve()));
  }

  endStdin(): void {
    this.#call.write({ eof: {} });
  }

  /** A Linux signal number. It travels behind the stdin written before it. */
  signal(signalNumber: number): void {
    this.#call.write({ signal: signalNumber });
  }

  #onMessage(message: ExecStreamResponse__Output): void {
    if (message.stdout) this.#onBytes('stdout', message.stdout);
    else if (message.stderr) this.#onBytes('stderr', message.stderr);
    else if (message.started) this.#started.resolve(message.started.pid);
    else if (message.exit) {
      this.#exited.resolve(parseExit(message.exit));
      this.#call.end();
    }
  }

  #onBytes(stream: 'stdout' | 'stderr', bytes: Buffer): void {
    let taken: void | Promise<void>;
    try {
      taken = this.#onOutput(stream, bytes);
    } catch (error) {
      taken = Promise.reject(error);
    }
    if (!taken) return;
    this.#call.pause();
    taken.then(
      () => this.#call.resume(),
      (error: unknown) => {
        this.#fail(error);
        this.#call.cancel();
      },
    );
  }

  #fail(error: unknown): void {
    this.#started.reject(error);
    this.#exited.reject(error);
  }
}

export function parseExit(exit: ExecExit__Output): CommandExit {
  return {
    exitCode: exit.exitCode ?? null,
    signal: exit.signal === 0 ? null : exit.signal,
    timedOut: exit.timedOut,
    durationMs: exit.duration ? durationMs(exit.duration) : 0,
  };
}

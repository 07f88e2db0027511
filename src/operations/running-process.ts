import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import {
  type ExecAttached,
  encodeExecResize,
  encodeExecSignal,
  parseExecAttached,
  parseExecExit,
  parseExecStarted,
  type TerminalSize,
} from '../../protocol/exec-messages.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { Deferred } from '../deferred.ts';
import { Channel, failureOf, type OpenChannel } from './channel.ts';
import type { ChannelEnd, ChannelUser } from './channel-user.ts';
import { OutputBuffer } from './output-buffer.ts';
import type { Process, ProcessExit, ProcessOutput, ProcessSink } from './process.ts';
import { readOnce } from './read-once.ts';
import { WrongAnswerError } from './wrong-answer-error.ts';

/**
 * A process of the sandbox over its channel. It owns where the output goes: to the sink, or to a buffer for one reader.
 *
 * Invariant: `offset` counts every byte that the consumer was handed or has chosen to drop, and no other.
 */
export class RunningProcess implements Process, ChannelUser {
  readonly #sink: ProcessSink | undefined;
  readonly #buffer = new OutputBuffer((bytes) => this.release(bytes));
  readonly #exited = new Deferred<ProcessExit>();
  #channel: Channel | undefined;
  #answered: ExecAttached = { pid: 0, process: 0, offset: 0, tty: false };
  #sinkBytes = 0;

  constructor(sink?: ProcessSink) {
    this.#sink = sink;
  }

  /** `tty` is given for a start, whose answer does not say it. */
  async open(opener: ChannelOpener, request: OpenChannel, tty?: boolean): Promise<Process> {
    const channel = Channel.open(opener, request, this);
    this.#channel = channel;
    const answer = answerOf(await channel.acked, tty);
    if ('error' in answer) throw channel.failWrong(answer.error);
    this.#answered = answer.value;
    return this;
  }

  get pid(): number {
    return this.#answered.pid;
  }

  get number(): number {
    return this.#answered.process;
  }

  get tty(): boolean {
    return this.#answered.tty;
  }

  get inputTakenBytes(): number | undefined {
    return this.#answered.input;
  }

  get startOffset(): number {
    return this.#answered.offset;
  }

  get offset(): number {
    return this.#answered.offset + this.#sinkBytes + this.#buffer.takenBytes;
  }

  get exited(): Promise<ProcessExit> {
    return this.#exited.promise;
  }

  get output(): AsyncIterableIterator<ProcessOutput> {
    return readOnce(
      () => this.#buffer.read(),
      () => this.discardOutput(),
    );
  }

  release(byteCount: number): void {
    this.#channel?.release(byteCount);
  }

  discardOutput(): void {
    this.#buffer.discard();
  }

  async writeInput(bytes: Uint8Array): Promise<void> {
    await this.#channel?.input.write(bytes);
  }

  endInput(): void {
    this.#channel?.input.end();
  }

  signal(signal: number): void {
    this.#channel?.send(messageTypes.ExecSignal.code, encodeExecSignal(signal));
  }

  resize(size: TerminalSize): void {
    this.#channel?.send(messageTypes.ExecResize.code, encodeExecResize(size));
  }

  async close(): Promise<void> {
    this.#channel?.close();
    await this.#channel?.gone;
  }

  onOutput(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    if (this.#sink) {
      this.#sinkBytes += bytes.length;
      this.#sink.onOutput(stream, bytes);
    } else this.#buffer.push(stream, bytes);
  }

  onOver(how: ChannelEnd): void {
    if (how.kind === 'closed') {
      this.#exited.reject(how.reason);
      this.#buffer.drop(how.aborted ? how.reason : undefined);
      return;
    }
    const exit = how.kind === 'ended' ? exitOf(how) : { error: failureOf(how) };
    if ('value' in exit) {
      this.#exited.resolve(exit.value);
      this.#buffer.end();
    } else {
      this.#exited.reject(exit.error);
      this.#buffer.end(exit.error);
    }
  }
}

function answerOf(payload: Uint8Array, tty: boolean | undefined): ParseResult<ExecAttached> {
  if (tty === undefined) return parseExecAttached(payload);
  const started = parseExecStarted(payload);
  return 'value' in started ? { value: { ...started.value, offset: 0, tty } } : started;
}

function exitOf(
  how: Extract<ChannelEnd, { kind: 'ended' }>,
): { readonly value: ProcessExit } | { readonly error: WrongAnswerError } {
  if (how.type !== messageTypes.ExecExit.code) {
    return { error: new WrongAnswerError('a process ended as a file does') };
  }
  const exit = parseExecExit(how.payload);
  return 'value' in exit ? exit : { error: new WrongAnswerError(exit.error) };
}

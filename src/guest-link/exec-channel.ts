import type { ChannelReceiver, RequesterChannel } from '../../protocol/channel-opener.ts';
import { encodeCredit, parseError } from '../../protocol/control-messages.ts';
import {
  encodeExecResize,
  encodeExecSignal,
  parseExecExit,
  parseExecStarted,
  type TerminalSize,
} from '../../protocol/exec-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { signalMax, terminalSideMax } from '../../protocol/limits.ts';
import { messageName, messageTypes } from '../../protocol/message-types.ts';
import { Deferred } from '../deferred.ts';
import { assertThat, invalidRequest, WarmpoolError } from '../domain/errors.ts';
import { execError, printable } from './exec-error.ts';
import type { GuestCommand, GuestProcess, OutputSink, ProcessExit } from './guest.ts';
import { parsed } from './link-violation.ts';
import { StdinQueue } from './stdin-queue.ts';

/**
 * One process in the sandbox, as the node's own calls see it: a receiver of its channel's frames, which the channel has
 * checked. It owns the promises and the two queues of bytes: stdin on its way, and output that its reader still holds.
 *
 *   starting ──Ack──▶ running ──ExecExit──▶ ended
 *       └──Error──▶ ended        running ──Error, ChannelClose, link lost──▶ ended
 *
 * Invariants: `#held` + `#released` is what was delivered and not granted back, never more than the window; when ended,
 * every promise has settled.
 *
 * Turned down: a stream object per output. A sink with credits is one call per frame, and the receiver decides whether
 * bytes become a gRPC message, a ring buffer or nothing.
 */
export class ExecChannel implements GuestProcess, ChannelReceiver {
  readonly #command: GuestCommand;
  readonly #output: OutputSink;
  readonly #windowBytes: number;
  readonly #channel: RequesterChannel;
  readonly #stdin: StdinQueue;
  #state: 'starting' | 'running' | 'ended' = 'starting';
  #pid = 0;
  #process = 0;
  /** Delivered and not released by the reader. */
  #held = 0;
  /** Released, and not yet given back to the guest: small releases travel together. */
  #released = 0;
  readonly #started = new Deferred<GuestProcess>();
  readonly #exited = new Deferred<ProcessExit>();

  constructor(
    command: GuestCommand,
    deps: { output: OutputSink; open: (receiver: ChannelReceiver) => RequesterChannel },
    options: { windowBytes: number },
  ) {
    this.#command = command;
    this.#output = deps.output;
    this.#windowBytes = options.windowBytes;
    this.#channel = deps.open(this);
    this.#stdin = new StdinQueue(this.#channel);
  }

  /** Settles with the Ack or the Error of the start. */
  get started(): Promise<GuestProcess> {
    return this.#started.promise;
  }

  get pid(): number {
    return this.#pid;
  }

  get process(): number {
    return this.#process;
  }

  get exited(): Promise<ProcessExit> {
    return this.#exited.promise;
  }

  release(byteCount: number): void {
    if (this.#state === 'ended') return;
    assertThat(byteCount >= 0 && byteCount <= this.#held, 'only delivered bytes are released, and only once');
    this.#held -= byteCount;
    this.#released += byteCount;
    // A node may have made the window smaller than what was asked for.
    const windowBytes = Math.min(this.#windowBytes, this.#channel.outputWindow);
    if (this.#released === 0 || this.#released < windowBytes / grantFraction) return;
    this.#channel.send(messageTypes.Credit.code, encodeCredit(this.#released));
    this.#released = 0;
  }

  async writeStdin(bytes: Uint8Array): Promise<void> {
    if (!this.#command.stdin || !this.#stdin.acceptsWrites) {
      throw invalidRequest([{ field: 'stdin', description: 'stdin of this command is not open' }]);
    }
    return this.#stdin.write(bytes);
  }

  endStdin(): void {
    if (this.#command.stdin) this.#stdin.end();
  }

  signal(signalNumber: number): void {
    if (this.#state === 'ended') return;
    assertThat(isWithin(signalNumber, signalMax), `a signal is a number from 1 to ${signalMax}`);
    this.#channel.send(messageTypes.ExecSignal.code, encodeExecSignal(signalNumber));
  }

  resize(size: TerminalSize): void {
    if (this.#state === 'ended' || this.#command.tty === undefined) return;
    assertThat(
      isWithin(size.cols, terminalSideMax) && isWithin(size.rows, terminalSideMax),
      `a terminal has 1 to ${terminalSideMax} columns and rows`,
    );
    this.#channel.send(messageTypes.ExecResize.code, encodeExecResize(size));
  }

  onFrame(frame: Frame): void {
    const { Ack, Error: Refusal, ChannelClose, Output, ErrorOutput, Credit, ExecExit } = messageTypes;
    if (frame.type === Output.code) this.#onOutput('stdout', frame);
    else if (frame.type === ErrorOutput.code) this.#onOutput('stderr', frame);
    else if (frame.type === Credit.code) this.#stdin.pump();
    else if (frame.type === Ack.code) this.#onAck(frame);
    else if (frame.type === ExecExit.code) this.#onExit(frame);
    else if (frame.type === Refusal.code) this.#onRefusal(frame);
    else if (frame.type === ChannelClose.code) this.#fail(ended('the sandbox let go of it'));
    else throw new Error(`assertion failed: ${messageName(frame.type)} passed the channel's checks`);
  }

  /** The link is gone: whatever is pending fails with `error`. */
  onLost(error: Error): void {
    this.#fail(error);
  }

  #onAck(frame: Frame): void {
    const { pid, process } = parsed(frame, parseExecStarted(frame.payload));
    this.#pid = pid;
    this.#process = process;
    this.#state = 'running';
    this.#started.resolve(this);
    this.#stdin.pump();
  }

  #onRefusal(frame: Frame): void {
    const refusal = parsed(frame, parseError(frame.payload));
    const { code, message } = refusal;
    if (this.#state === 'starting') this.#fail(execError(refusal, this.#command));
    else if (code === 'taken_over') this.#fail(ended('another connection has taken it over'));
    else this.#fail(ended(`${code}: ${printable(message)}`));
  }

  #onOutput(stream: 'stdout' | 'stderr', frame: Frame): void {
    this.#held += frame.payload.length;
    const { buffer, byteOffset, byteLength } = frame.payload;
    this.#output.onOutput(stream, Buffer.from(buffer, byteOffset, byteLength));
  }

  #onExit(frame: Frame): void {
    const exit = parsed(frame, parseExecExit(frame.payload));
    this.#state = 'ended';
    this.#stdin.drop();
    this.#exited.resolve(exit);
  }

  #fail(error: Error): void {
    this.#state = 'ended';
    this.#stdin.drop(error);
    this.#started.reject(error);
    this.#exited.reject(error);
  }
}

/** Credit goes back in halves of the window, as in operations: each grant is a write that wakes the guest. */
const grantFraction = 2;

function ended(why: string): WarmpoolError {
  return new WarmpoolError('INTERNAL', `the command is followed no longer: ${why}`);
}

function isWithin(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max;
}

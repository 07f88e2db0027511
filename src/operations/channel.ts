import {
  type ChannelOpener,
  type ChannelReceiver,
  type RequesterChannel,
  ResponderError,
} from '../../protocol/channel-opener.ts';
import { encodeCredit, parseError } from '../../protocol/control-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { isTerminal, messageTypes } from '../../protocol/message-types.ts';
import { Deferred } from '../deferred.ts';
import { assertThat } from './assert-that.ts';
import { ChannelClosedError } from './channel-closed-error.ts';
import type { ChannelEnd, ChannelUser } from './channel-user.ts';
import { InputWriter } from './input-writer.ts';
import { OutputCredit } from './output-credit.ts';
import { WrongAnswerError } from './wrong-answer-error.ts';

export interface OpenChannel {
  readonly type: number;
  readonly payload: Uint8Array;
  readonly windowBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * One channel of one operation, from its request to its end. It owns the request's answer, both credit accounts, the
 * input that waits, and the watch on the caller's signal.
 *
 *   opening ──Ack──▶ open ──terminal frame──▶ over
 *      └─Error, End─▶ over      any but over ──close, abort, lost──▶ over
 *
 * Invariants: the user hears of the end exactly once, and of nothing after it; when over, no promise is open, no input
 * waits, and the signal is not listened to any more. What comes between our ChannelClose and the terminal frame is
 * ignored; only `gone` still waits for it.
 *
 * Turned down: a class per operation that extends this one. What differs between them is who takes the output and what
 * the payloads mean, and that is a user and a parser.
 */
export class Channel implements ChannelReceiver {
  readonly input: InputWriter;
  readonly #user: ChannelUser;
  readonly #credit: OutputCredit;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#abandon({ kind: 'closed', reason: this.#signal?.reason, aborted: true });
  readonly #acked = new Deferred<Uint8Array>();
  readonly #gone = new Deferred<void>();
  #state: 'opening' | 'open' | 'over' = 'opening';
  #channel: RequesterChannel | undefined;

  /** Throws the reason of an aborted signal, and what the opener throws. */
  static open(opener: ChannelOpener, request: OpenChannel, user: ChannelUser): Channel {
    request.signal?.throwIfAborted();
    const channel = new Channel(request, user);
    const { windowBytes } = request;
    const options = windowBytes === undefined ? undefined : { windowBytes };
    channel.#begin(opener.open(request.type, request.payload, channel, options));
    return channel;
  }

  private constructor(request: OpenChannel, user: ChannelUser) {
    this.#user = user;
    this.#signal = request.signal;
    this.#credit = new OutputCredit(
      (bytes) => this.send(messageTypes.Credit.code, encodeCredit(bytes)),
      () => this.#channel?.outputWindow ?? 0,
    );
    this.input = new InputWriter();
  }

  /** The Ack's payload. Rejects with whatever ended the channel before it came. */
  get acked(): Promise<Uint8Array> {
    return this.#acked.promise;
  }

  /** Settles, never rejects, when the terminal frame has come or the wire is lost. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** ExecSignal and the like. Does nothing when the channel is over. */
  send(type: number, payload: Uint8Array): void {
    if (this.#state !== 'over') this.#channel?.send(type, payload);
  }

  /** Gives back credit for bytes that the user was handed. */
  release(bytes: number): void {
    if (this.#state !== 'over') this.#credit.release(bytes);
  }

  close(): void {
    this.#abandon({ kind: 'closed', reason: new ChannelClosedError(), aborted: false });
  }

  /** The responder has broken a rule of its messages: nothing that follows can be trusted. */
  failWrong(sentence: string): WrongAnswerError {
    const error = new WrongAnswerError(sentence);
    this.#abandon({ kind: 'failed', error });
    return error;
  }

  onFrame(frame: Frame): void {
    if (this.#state === 'over') {
      if (isTerminal(frame.type)) this.#gone.resolve();
      return;
    }
    const { Ack, Output, ErrorOutput, Credit, OutputEof } = messageTypes;
    if (isTerminal(frame.type)) this.#onLast(frame);
    else if (frame.type === Output.code) this.#onOutput('stdout', frame.payload);
    else if (frame.type === ErrorOutput.code) this.#onOutput('stderr', frame.payload);
    else if (frame.type === Credit.code) this.input.pump();
    else if (frame.type === Ack.code) this.#onAck(frame.payload);
    else if (frame.type === OutputEof.code) this.#user.onOutputEof?.();
  }

  onLost(error: Error): void {
    this.#over({ kind: 'failed', error });
    this.#gone.resolve();
  }

  #begin(channel: RequesterChannel): void {
    this.#channel = channel;
    if (this.#state === 'over') return;
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (this.#state === 'open') this.input.attach(channel);
  }

  #onAck(payload: Uint8Array): void {
    assertThat(this.#state === 'opening', 'a channel has one Ack');
    this.#state = 'open';
    this.#user.onAck?.(payload);
    this.#acked.resolve(payload);
    if (this.#channel && !this.#isOver()) this.input.attach(this.#channel);
  }

  #onOutput(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#credit.received(bytes.length);
    this.#user.onOutput(stream, bytes);
  }

  #onLast(frame: Frame): void {
    this.#over(endOf(frame));
    this.#gone.resolve();
  }

  #abandon(how: ChannelEnd): void {
    if (this.#state === 'over') return;
    this.#channel?.close();
    this.#over(how);
  }

  #over(how: ChannelEnd): void {
    if (this.#state === 'over') return;
    // An error costs its stack, and nearly every channel was answered long ago.
    if (this.#state === 'opening') {
      this.#acked.reject(
        how.kind === 'ended' ? new WrongAnswerError('the end came before the answer') : failureOf(how),
      );
    }
    this.#state = 'over';
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.input.drop(how.kind === 'ended' ? undefined : failureOf(how));
    this.#user.onOver(how);
  }

  /** Asked again after a call out, where the compiler takes the state for unchanged. */
  #isOver(): boolean {
    return this.#state === 'over';
  }
}

/** What a promise of a channel that ended so rejects with. */
export function failureOf(how: Exclude<ChannelEnd, { kind: 'ended' }>): unknown {
  return how.kind === 'failed' ? how.error : how.reason;
}

function endOf(frame: Frame): ChannelEnd {
  if (frame.type === messageTypes.Error.code) return { kind: 'failed', error: refusalOf(frame.payload) };
  if (frame.type === messageTypes.ChannelClose.code) {
    return { kind: 'failed', error: new ChannelClosedError('the responder closed the channel') };
  }
  return { kind: 'ended', type: frame.type, payload: frame.payload };
}

function refusalOf(payload: Uint8Array): Error {
  const error = parseError(payload);
  if ('error' in error) return new WrongAnswerError(`an Error that cannot be read (${error.error})`);
  return new ResponderError(error.value.code, error.value.message);
}

import type { ChannelReceiver, OpenOptions, RequesterChannel } from '../../protocol/channel-opener.ts';
import { encodeCredit, parseCredit, parseError } from '../../protocol/control-messages.ts';
import {
  type ExecAttach,
  type ExecAttached,
  parseExecAttached,
  parseExecStarted,
} from '../../protocol/exec-messages.ts';
import { type Frame, noPayload } from '../../protocol/frame.ts';
import { payloadBytesMax } from '../../protocol/limits.ts';
import { isTerminal, messageTypes } from '../../protocol/message-types.ts';
import { UnconfirmedInput } from './unconfirmed-input.ts';
import { WarmpoolClientError } from './warmpool-client-error.ts';

/** Opens the channel on a socket that has come, with ExecAttach. */
export type Attach = (request: ExecAttach, receiver: ChannelReceiver) => RequesterChannel;

/** How the first request began: it started a process, or attached to one that was there. */
export type ResumableOpening = { readonly start: { readonly isTerminal: boolean } } | 'attach';

/**
 * A channel to a detached process that outlives its socket. Owns the place in the output that the receiver has reached,
 * and the input that nobody has confirmed yet.
 *
 *   opening ──Ack──▶ attached ──socket lost──▶ away ──resume()──▶ attaching ──Ack──▶ attached
 *      └──refused, lost──▶ ended ◀──terminal frame, fail(), output gone──┴──────────────┘
 *
 * Invariants (I12): the receiver gets each byte of output once and in order, whichever socket brought it, or is told that
 * some is gone; one Ack; one terminal frame or one loss. Input is sent again exactly from where the process has it. While
 * away nothing is sent: signals, the last size and the end of input wait.
 *
 * Turned down: telling the operations above of a new channel. They would each have to count bytes and to start again.
 */
export class ResumableChannel implements RequesterChannel, ChannelReceiver {
  readonly #receiver: ChannelReceiver;
  readonly #onEnd: () => void;
  readonly #opening: ResumableOpening;
  readonly #options: OpenOptions;
  readonly #input = new UnconfirmedInput();
  #inner: RequesterChannel | null = null;
  #number = 0;
  #state: 'opening' | 'attached' | 'away' | 'attaching' | 'ended' = 'opening';
  #closing = false;
  #process = 0;
  #isTerminal: boolean;
  /** Number of the first byte of output that the receiver has not got. */
  #offset = 0;
  /** Output that the receiver has and has not granted back. */
  #held = 0;
  /** Grants of before the attach: the new channel's window is whole already. */
  #grantsToSwallow = 0;
  #inputEnded = false;
  #waiting: { readonly type: number; readonly payload: Uint8Array }[] = [];

  constructor(
    deps: { readonly receiver: ChannelReceiver; readonly onEnd: () => void },
    opening: ResumableOpening,
    options: OpenOptions = {},
  ) {
    this.#receiver = deps.receiver;
    this.#onEnd = deps.onEnd;
    this.#opening = opening;
    this.#isTerminal = opening !== 'attach' && opening.start.isTerminal;
    this.#options = options;
  }

  /** With the first socket's channel, which answers to this as its receiver. */
  begin(inner: RequesterChannel): void {
    this.#inner = inner;
    this.#number = inner.number;
  }

  get number(): number {
    return this.#number;
  }

  get inputCredit(): number {
    return this.#state === 'attached' ? (this.#inner?.inputCredit ?? 0) : 0;
  }

  get outputWindow(): number {
    return this.#inner?.outputWindow ?? 0;
  }

  get isAway(): boolean {
    return this.#state === 'away';
  }

  send(type: number, payload: Uint8Array): void {
    if (this.#state === 'ended' || this.#closing) return;
    if (type === messageTypes.InputEof.code) this.#inputEnded = true;
    if (type === messageTypes.Credit.code) this.#grant(payload);
    else if (this.#state !== 'attached') this.#wait(type, payload);
    else {
      if (type === messageTypes.Input.code) this.#input.sent(payload);
      this.#inner?.send(type, payload);
    }
  }

  close(): void {
    if (this.#state === 'ended' || this.#closing) return;
    this.#closing = true;
    if (this.#inner !== null) this.#inner.close();
    else queueMicrotask(() => this.#endAsClosed());
  }

  /** On a new socket. */
  resume(attach: Attach): void {
    if (this.#state !== 'away' || this.#closing) return;
    this.#state = 'attaching';
    try {
      const { windowBytes } = this.#options;
      const window = windowBytes === undefined ? {} : { window: windowBytes };
      this.#inner = attach({ process: this.#process, offset: this.#offset, ...window }, this);
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** There will be no new socket. */
  fail(error: Error): void {
    if (this.#state === 'ended') return;
    if (this.#closing) this.#endAsClosed();
    else {
      this.#end();
      this.#receiver.onLost(error);
    }
  }

  onFrame(frame: Frame): void {
    if (this.#state === 'opening' && frame.type === messageTypes.Ack.code) this.#onStarted(frame);
    else if (this.#state === 'attaching') this.#onAttachAnswer(frame);
    else if (this.#state !== 'ended') this.#handOn(frame);
  }

  onLost(error: Error): void {
    if (this.#state === 'ended') return;
    this.#inner = null;
    if (this.#closing || this.#state === 'opening') this.fail(error);
    else this.#state = 'away';
  }

  #handOn(frame: Frame): void {
    if (frame.type === messageTypes.Output.code || frame.type === messageTypes.ErrorOutput.code) {
      this.#offset += frame.payload.length;
      this.#held += frame.payload.length;
    } else if (frame.type === messageTypes.Credit.code) {
      const granted = parseCredit(frame.payload);
      if ('value' in granted) this.#input.confirmed(granted.value);
    } else if (isTerminal(frame.type)) {
      this.#end();
    }
    this.#receiver.onFrame(frame);
  }

  #onStarted(frame: Frame): void {
    const broken = this.#opening === 'attach' ? this.#readAttached(frame) : this.#readStarted(frame);
    if (broken !== undefined) {
      this.#giveUp('protocol_error', `the node's answer: ${broken}`);
      return;
    }
    this.#state = 'attached';
    this.#receiver.onFrame(frame);
    this.#sendWaiting();
  }

  #readStarted(frame: Frame): string | undefined {
    const started = parseExecStarted(frame.payload);
    if ('error' in started) return started.error;
    this.#process = started.value.process;
    return undefined;
  }

  #readAttached(frame: Frame): string | undefined {
    const attached = parseExecAttached(frame.payload);
    if ('error' in attached) return attached.error;
    this.#process = attached.value.process;
    this.#offset = attached.value.offset;
    this.#isTerminal = attached.value.tty;
    this.#input.beginAt(attached.value.input);
    return undefined;
  }

  #onAttachAnswer(frame: Frame): void {
    if (frame.type === messageTypes.Ack.code) {
      const attached = parseExecAttached(frame.payload);
      if ('error' in attached) this.#giveUp('protocol_error', `the node's answer: ${attached.error}`);
      else this.#onAttached(attached.value);
    } else if (frame.type === messageTypes.Error.code) {
      this.#onAttachRefused(frame);
    } else if (isTerminal(frame.type)) {
      this.#endAsClosed();
    }
  }

  #onAttachRefused(frame: Frame): void {
    this.#inner = null;
    const refusal = parseError(frame.payload);
    if ('error' in refusal) this.#giveUp('protocol_error', `the node's answer: ${refusal.error}`);
    else if (refusal.value.code !== 'process_unknown')
      this.#giveUp(refusal.value.code, refusal.value.message);
    else
      this.#giveUp(
        'exit_unknown',
        'the process ended while the connection was away; how is not kept any more',
      );
  }

  #onAttached({ offset, input }: ExecAttached): void {
    if (offset !== this.#offset) {
      const details = { process: this.#process, offset: this.#offset, resumesAt: offset };
      const lost = `${offset - this.#offset} bytes of output came while the connection was away and are not kept any more`;
      this.#giveUp('output_lost', lost, details);
      return;
    }
    this.#grantsToSwallow = this.#held;
    this.#state = 'attached';
    const again = this.#input.from(input);
    for (let at = 0; at < again.length; at += payloadBytesMax) {
      this.#inner?.send(messageTypes.Input.code, again.subarray(at, at + payloadBytesMax));
    }
    this.#sendWaiting();
    // A pipe's end may be told twice; a terminal would take the second for another end-of-file character.
    if (this.#inputEnded && !this.#isTerminal) this.#inner?.send(messageTypes.InputEof.code, noPayload);
    // Whoever waits for credit looks again.
    const payload = encodeCredit(this.inputCredit);
    this.#receiver.onFrame({ type: messageTypes.Credit.code, channel: this.#number, id: 0, payload });
  }

  #grant(payload: Uint8Array): void {
    const granted = parseCredit(payload);
    if ('error' in granted) throw new Error(`assertion failed: a Credit is ${granted.error}`);
    this.#held -= granted.value;
    const swallowed = Math.min(this.#grantsToSwallow, granted.value);
    this.#grantsToSwallow -= swallowed;
    const rest = granted.value - swallowed;
    if (rest > 0 && this.#state === 'attached')
      this.#inner?.send(messageTypes.Credit.code, encodeCredit(rest));
  }

  #wait(type: number, payload: Uint8Array): void {
    if (type === messageTypes.Input.code) {
      throw new Error('assertion failed: input without credit: the connection is away');
    }
    // Of sizes only the last matters.
    if (type === messageTypes.ExecResize.code) {
      this.#waiting = this.#waiting.filter((frame) => frame.type !== type);
    }
    if (this.#waiting.length < waitingMax) this.#waiting.push({ type, payload: payload.slice() });
  }

  #sendWaiting(): void {
    const frames = this.#waiting;
    this.#waiting = [];
    for (const { type, payload } of frames) this.#inner?.send(type, payload);
  }

  #giveUp(code: string, message: string, details = {}): void {
    const inner = this.#inner;
    this.#end();
    inner?.close();
    this.#receiver.onLost(new WarmpoolClientError(code, message, { details }));
  }

  #endAsClosed(): void {
    if (this.#state === 'ended') return;
    this.#end();
    const { code: type } = messageTypes.ChannelClose;
    this.#receiver.onFrame({ type, channel: this.#number, id: 0, payload: noPayload });
  }

  #end(): void {
    this.#state = 'ended';
    this.#inner = null;
    this.#waiting = [];
    this.#onEnd();
  }
}

/** Signals that may wait for the connection: more are a program that hammers on a closed door. */
const waitingMax = 64;

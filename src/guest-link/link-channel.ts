import type { ChannelKind } from '../../protocol/channel-kinds.ts';
import type { ChannelReceiver, RequesterChannel } from '../../protocol/channel-opener.ts';
import { encodeCredit, parseCredit, parseError } from '../../protocol/control-messages.ts';
import { parseExecExit } from '../../protocol/exec-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { messageName, messageTypes } from '../../protocol/message-types.ts';
import { parseAckPayload, parseEndPayload } from '../../protocol/payload-parsers.ts';
import { assertThat } from '../domain/errors.ts';
import { LinkViolation, parsed } from './link-violation.ts';
import type { BulkSource, Outbox } from './outbox.ts';
import { SendQueue } from './send-queue.ts';

const { Ack, ChannelClose, Credit, End, Error: Refusal, ErrorOutput } = messageTypes;
const { ExecExit, ExecResize, ExecSignal, Input, InputEof, Output, OutputEof } = messageTypes;

export interface LinkChannelOptions {
  readonly number: number;
  /** The type that opens it, and the id of that request. */
  readonly request: number;
  readonly requestId: number;
  readonly kind: ChannelKind;
  readonly outputWindow: number;
  readonly inputWindow: number;
}

/**
 * One channel of the link, whatever it carries. It owns the channel's state, both credit accounts, and what the node has
 * sent on it and the transport has not taken yet.
 *
 *   opening ──Ack──▶ open ──terminal frame──▶ ended
 *      └──Error, End──▶ ended          any but ended ──link lost──▶ ended
 *
 * Invariants: the request is answered once; no frame but those that its kind has; the guest never has more output on the
 * way than the window (`#outputCredit` + `#ungranted` + `#toGrant` = window); what waits to be sent is at most the input
 * window and a few small frames; the receiver gets Ack first and a terminal frame last, or the loss, and nothing
 * after it. Once closed by us (`#closing`) it gets only that last frame; the rest is checked and dropped.
 *
 * Frames leave in the order they were sent in. Credit alone overtakes: it is about the other direction, and grants that
 * wait for a full transport add up to one frame.
 */
export class LinkChannel implements RequesterChannel, BulkSource {
  readonly number: number;
  readonly outputWindow: number;
  readonly #request: number;
  readonly #requestId: number;
  readonly #kind: ChannelKind;
  readonly #inputWindow: number;
  readonly #outbox: Outbox;
  readonly #receiver: ChannelReceiver;
  /** Nobody waits for the answer any more. */
  readonly #onAnswered: () => void;
  /** Before the receiver hears of the end, which may well open the next channel. */
  readonly #onEnd: () => void;
  #state: 'opening' | 'open' | 'ended' = 'opening';
  #closing = false;
  /** What the guest may still send. */
  #outputCredit: number;
  /** Received, and not given back. */
  #ungranted = 0;
  /** Given back by the receiver, and waiting for its frame. */
  #toGrant = 0;
  #outputEnded = false;
  #inputCredit = 0;
  #inputEnded = false;
  readonly #queue: SendQueue;

  constructor(
    deps: { outbox: Outbox; receiver: ChannelReceiver; onAnswered: () => void; onEnd: () => void },
    options: LinkChannelOptions,
  ) {
    this.#outbox = deps.outbox;
    this.#receiver = deps.receiver;
    this.#onAnswered = deps.onAnswered;
    this.#onEnd = deps.onEnd;
    this.number = options.number;
    this.outputWindow = options.outputWindow;
    this.#request = options.request;
    this.#requestId = options.requestId;
    this.#kind = options.kind;
    this.#outputCredit = options.outputWindow;
    this.#queue = new SendQueue(options.number);
    this.#inputWindow = options.kind.input ? options.inputWindow : 0;
  }

  /** Neither answered nor lost yet. */
  get opening(): boolean {
    return this.#state === 'opening';
  }

  /** Nothing more may come on this channel, and the link forgets it. */
  get ended(): boolean {
    return this.#state === 'ended';
  }

  get inputCredit(): number {
    return this.#inputCredit;
  }

  send(type: number, payload: Uint8Array): void {
    if (this.#state === 'ended' || this.#closing) return;
    if (type === Input.code) this.#sendInput(payload);
    else if (type === InputEof.code) this.#sendInputEof();
    else if (type === Credit.code) this.#sendCredit(payload);
    else if (type === ExecSignal.code || type === ExecResize.code) this.#sendSmall(type, payload);
    else throw new Error(`assertion failed: ${messageName(type)} is not sent on an open channel`);
  }

  sendLent(payload: Uint8Array): void {
    if (payload.length < largeBytes || this.#state === 'ended' || this.#closing) {
      this.send(Input.code, new Uint8Array(payload));
      return;
    }
    this.#queueInput(payload);
    this.#outbox.offerNow(this);
    this.#queue.keep(payload);
  }

  close(): void {
    if (this.#state === 'ended' || this.#closing) return;
    this.#closing = true;
    // Before the answer there is nothing worth sending but that nobody waits for it any more.
    if (this.opening) this.#clearQueue();
    this.#queue.push(ChannelClose.code);
    this.#outbox.offer(this);
  }

  take(): Frame | null {
    if (this.#toGrant > 0) {
      const payload = encodeCredit(this.#toGrant);
      this.#outputCredit += this.#toGrant;
      this.#toGrant = 0;
      return { type: Credit.code, channel: this.number, id: 0, payload };
    }
    // Nothing that waits may arrive before the guest has opened the channel, but to give it up is always in time.
    if (this.opening && this.#queue.first?.type !== ChannelClose.code) return null;
    const frame = this.#queue.shift();
    if (frame?.type === Input.code) this.#outbox.held(-frame.payload.length);
    return frame;
  }

  /** A frame from the guest on this channel, correct by the table of types. */
  receive(frame: Frame): void {
    if (this.#state === 'opening') this.#onAnswer(frame);
    else this.#onOpen(frame);
  }

  /** The link is gone. */
  lose(error: Error): void {
    if (this.ended) return;
    this.#end();
    this.#receiver.onLost(error);
  }

  #onAnswer(frame: Frame): void {
    const isAnswer =
      frame.type === Ack.code ||
      frame.type === Refusal.code ||
      (frame.type === End.code && this.#kind.endsUnopened);
    const isAnswerToClose = frame.type === ChannelClose.code && this.#closing;
    if (!isAnswer && !isAnswerToClose) {
      throw new LinkViolation(`${messageName(frame.type)} before ${this.#requestName} was answered`);
    }
    if (isAnswer && frame.id !== this.#requestId) {
      throw new LinkViolation(`${messageName(frame.type)} answers request ${frame.id} of another channel`);
    }
    if (frame.type === Ack.code) this.#onAck(frame);
    else this.#endWith(frame);
  }

  #onAck(frame: Frame): void {
    parsed(frame, parseAckPayload(this.#request, frame.payload));
    this.#state = 'open';
    this.#onAnswered();
    this.#inputCredit = this.#inputWindow;
    this.#outbox.offer(this);
    this.#deliver(frame);
  }

  #onOpen(frame: Frame): void {
    const { type } = frame;
    if (type === Output.code || type === ErrorOutput.code) this.#onOutput(frame);
    else if (type === Credit.code && this.#kind.input) this.#onCredit(frame);
    else if (type === OutputEof.code && this.#kind.outputEof) this.#onOutputEof(frame);
    else if (type === Refusal.code || type === ChannelClose.code) this.#endWith(frame);
    else if (type === ExecExit.code && this.#kind.process) this.#endWith(frame);
    else if (type === End.code && !this.#kind.process) this.#endWith(frame);
    else throw new LinkViolation(`${messageName(type)} for an open ${this.#requestName}`);
  }

  #onOutput(frame: Frame): void {
    const { length } = frame.payload;
    if (!this.#kind.output || (frame.type === ErrorOutput.code && !this.#kind.process)) {
      throw new LinkViolation(`${messageName(frame.type)} of ${length} bytes for ${this.#requestName}`);
    }
    if (this.#outputEnded) throw new LinkViolation(`${messageName(frame.type)} behind OutputEof`);
    if (length > this.#outputCredit) {
      throw new LinkViolation(`${length} bytes of output with a credit of ${this.#outputCredit}`);
    }
    if (length === 0) return;
    this.#outputCredit -= length;
    this.#ungranted += length;
    this.#deliver(frame);
  }

  /** What is granted above the window is void, here as there. */
  #onCredit(frame: Frame): void {
    const bytes = parsed(frame, parseCredit(frame.payload));
    this.#inputCredit = Math.min(this.#inputWindow, this.#inputCredit + bytes);
    this.#deliver(frame);
  }

  #onOutputEof(frame: Frame): void {
    if (this.#outputEnded) throw new LinkViolation('a second OutputEof');
    this.#outputEnded = true;
    this.#deliver(frame);
  }

  #endWith(frame: Frame): void {
    if (frame.type === Refusal.code) parsed(frame, parseError(frame.payload));
    else if (frame.type === ExecExit.code) parsed(frame, parseExecExit(frame.payload));
    else if (frame.type === End.code) parsed(frame, parseEndPayload(this.#request, frame.payload));
    this.#end();
    this.#hand(frame);
  }

  #deliver(frame: Frame): void {
    if (!this.#closing) this.#hand(frame);
  }

  #hand(frame: Frame): void {
    this.#receiver.onFrame(this.#receiver.takesLent ? frame : kept(frame));
  }

  #end(): void {
    if (this.opening) this.#onAnswered();
    this.#state = 'ended';
    this.#inputCredit = 0;
    this.#clearQueue();
    this.#outbox.withdraw(this);
    this.#onEnd();
  }

  #sendInput(payload: Uint8Array): void {
    if (payload.length === 0) return;
    this.#queueInput(payload);
    this.#outbox.offer(this);
  }

  #queueInput(payload: Uint8Array): void {
    assertThat(!this.#inputEnded, 'no Input follows InputEof');
    assertThat(payload.length <= this.#inputCredit, 'Input stays within its credit');
    this.#inputCredit -= payload.length;
    this.#queue.pushInput(payload);
    this.#outbox.held(payload.length);
  }

  #clearQueue(): void {
    this.#outbox.held(-this.#queue.inputBytes);
    this.#queue.clear();
  }

  #sendInputEof(): void {
    if (this.#inputEnded || !this.#kind.input) return;
    this.#inputEnded = true;
    this.#queue.push(InputEof.code);
    this.#outbox.offer(this);
  }

  /** No more than was received: whoever grants on may be a client, and the guest would hold the surplus void. */
  #sendCredit(payload: Uint8Array): void {
    const bytes = parseCredit(payload);
    assertThat('value' in bytes, 'a Credit has four bytes');
    const granted = Math.min(bytes.value, this.#ungranted);
    if (granted === 0) return;
    this.#ungranted -= granted;
    this.#toGrant += granted;
    this.#outbox.offer(this);
  }

  #sendSmall(type: number, payload: Uint8Array): void {
    if (!this.#kind.process || this.opening) return;
    this.#queue.pushSmall(type, payload);
    this.#outbox.offer(this);
  }

  get #requestName(): string {
    return messageName(this.#request);
  }
}

/** From here on input is worth a write of its own; less is gathered, which takes a copy. */
const largeBytes = 16_384;

/** A frame of the decoder is only lent; this one may be kept. */
export function kept({ type, channel, id, payload }: Frame): Frame {
  return { type, channel, id, payload: new Uint8Array(payload) };
}

import { channelKind } from '../../protocol/channel-kinds.ts';
import type { ChannelReceiver, RequesterChannel } from '../../protocol/channel-opener.ts';
import { type Frame, headerBytes, viewOf, writeHeader } from '../../protocol/frame.ts';
import { isTerminal, messageTypes } from '../../protocol/message-types.ts';
import { withWindow } from './ack-window.ts';

const { Ack, ErrorOutput, Input, InputEof, Output } = messageTypes;

export interface ClientChannelOptions {
  /** As its client numbers it. */
  readonly number: number;
  readonly request: number;
  /** The id that the answer repeats. */
  readonly requestId: number;
  /** Output that may be on the way, and what its client asked for. */
  readonly window: number;
  readonly askedWindow: number;
  /** Whether what it carries is use of the sandbox. */
  readonly use: boolean;
}

/** Whom a channel serves. */
export interface ChannelClient {
  /** The bytes are valid only during the call. */
  send(message: Uint8Array): void;
  /** The sandbox was used. */
  used(): void;
  /** Nothing follows on the channel, and its number is free. */
  ended(channel: ClientChannel): void;
}

/**
 * One channel of a client's socket, and the channel of the guest link that it goes on as. Frames pass with a new header
 * in the place of the old one; what they carry is not looked at.
 *
 *   open ──terminal frame from the guest, loss of the link──▶ ended
 *     └──let go──▶ let go (nothing reaches the client any more) ──▶ ended
 */
export class ClientChannel implements ChannelReceiver {
  readonly options: ClientChannelOptions;
  readonly takesLent = true;
  readonly #client: ChannelClient;
  #guest: RequesterChannel | null = null;
  #inputEnded = false;
  #letGo = false;
  #ended = false;

  constructor(client: ChannelClient, options: ClientChannelOptions) {
    this.#client = client;
    this.options = options;
  }

  /** Signals, sizes, ErrorOutput and an exit are for processes only. */
  get isProcess(): boolean {
    return channelKind(this.options.request)?.process === true;
  }

  attach(guest: RequesterChannel): void {
    this.#guest = guest;
    if (this.#letGo) guest.close();
  }

  /** Why the client may not send this; undefined when it was passed on. The payload is the caller's again. */
  input(payload: Uint8Array): string | undefined {
    if (this.#inputEnded) return 'Input behind InputEof';
    const guest = this.#guest;
    const credit = guest?.inputCredit ?? 0;
    if (payload.length > credit) {
      return `${payload.length} bytes of Input with a credit of ${credit} on channel ${this.options.number}`;
    }
    if (guest?.sendLent) guest.sendLent(payload);
    else guest?.send(Input.code, new Uint8Array(payload));
    if (this.options.use) this.#client.used();
    return undefined;
  }

  inputEof(): void {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    this.#guest?.send(InputEof.code, new Uint8Array(0));
  }

  /** Credit, ExecSignal, ExecResize. The payload is copied. */
  send(type: number, payload: Uint8Array): void {
    this.#guest?.send(type, new Uint8Array(payload));
  }

  /** The client gives it up; what the guest makes of that is still told. */
  close(): void {
    this.#guest?.close();
  }

  /** Nobody is there to be told any more. */
  letGo(): void {
    this.#letGo = true;
    this.#guest?.close();
  }

  onFrame(frame: Frame): void {
    if (!this.#letGo) this.#forward(frame);
    if (isTerminal(frame.type)) this.#end();
  }

  onLost(): void {
    this.#end();
  }

  #forward(frame: Frame): void {
    const { type } = frame;
    if (this.options.use && (type === Output.code || type === ErrorOutput.code)) this.#client.used();
    const { number, requestId, window, askedWindow } = this.options;
    const id = frame.id === 0 ? 0 : requestId;
    // Where another node has made the window smaller still, its Ack says so already.
    const isLowered =
      type === Ack.code && window < askedWindow && (this.#guest?.outputWindow ?? window) >= window;
    const message = isLowered
      ? messageOf(withWindow(frame.payload, window))
      : (frame.message ?? messageOf(frame.payload));
    writeHeader(viewOf(message), 0, { type, channel: number, id });
    this.#client.send(message);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#client.ended(this);
  }
}

/** Room for a header, and the payload behind it. */
function messageOf(payload: Uint8Array): Uint8Array {
  const message = new Uint8Array(headerBytes + payload.length);
  message.set(payload, headerBytes);
  return message;
}

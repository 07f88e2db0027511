import type {
  ChannelOpener,
  ChannelReceiver,
  OpenOptions,
  RequesterChannel,
} from '../../protocol/channel-opener.ts';
import { encodeFrame, parseFrame } from '../../protocol/frame.ts';
import { isTerminal, messageName, messageTypes } from '../../protocol/message-types.ts';
import { within } from '../support/within.ts';

/** A guest link in memory: a test plays the guest, frame by frame. */
export class ScriptedOpener implements ChannelOpener {
  readonly closed: Promise<string> = new Promise(() => {});
  inputWindowBytes?: number;
  readonly channels: ScriptedChannel[] = [];
  readonly requests: { type: number; payload: Uint8Array }[] = [];
  /** Thrown by the next `open`. */
  refusal: Error | null = null;
  onRequest: (type: number) => Promise<Uint8Array> = async () => Uint8Array.of(0x80);
  #lastNumber = 1_000;
  readonly #wakes: (() => void)[] = [];

  open(
    type: number,
    payload: Uint8Array,
    receiver: ChannelReceiver,
    options?: OpenOptions,
  ): RequesterChannel {
    const { refusal } = this;
    this.refusal = null;
    if (refusal) throw refusal;
    this.#lastNumber += 1;
    const window = options?.windowBytes ?? 0;
    const channel = new ScriptedChannel(this.#lastNumber, type, new Uint8Array(payload), window, receiver);
    this.channels.push(channel);
    for (const wake of this.#wakes.splice(0)) wake();
    return channel;
  }

  request(type: number, payload: Uint8Array): Promise<Uint8Array> {
    this.requests.push({ type, payload });
    return this.onRequest(type);
  }

  /** The channel that was opened as the `index`th, past or future. */
  async channel(index: number): Promise<ScriptedChannel> {
    for (;;) {
      const channel = this.channels[index];
      if (channel) return channel;
      const opened = new Promise<void>((resolve) => this.#wakes.push(resolve));
      await within(opened, () => `channel ${index}; there were ${this.channels.length}`);
    }
  }
}

export class ScriptedChannel implements RequesterChannel {
  readonly number: number;
  readonly type: number;
  readonly payload: Uint8Array;
  readonly window: number;
  readonly sent: { type: number; payload: Buffer }[] = [];
  inputCredit = 0;
  readonly outputWindow: number;
  isClosed = false;
  hasEnded = false;
  readonly #receiver: ChannelReceiver;
  #wake: () => void = () => {};

  constructor(number: number, type: number, payload: Uint8Array, window: number, receiver: ChannelReceiver) {
    this.number = number;
    this.type = type;
    this.payload = payload;
    this.window = window;
    this.outputWindow = window;
    this.#receiver = receiver;
  }

  send(type: number, payload: Uint8Array): void {
    if (this.hasEnded || this.isClosed) return;
    if (type === messageTypes.Input.code) this.inputCredit -= payload.length;
    this.sent.push({ type, payload: Buffer.from(payload) });
    this.#wake();
  }

  close(): void {
    this.isClosed = true;
    this.#wake();
  }

  ack(map: Uint8Array = Uint8Array.of(0x80), inputWindow = 65_536): void {
    this.inputCredit = inputWindow;
    this.emit(messageTypes.Ack.code, map, this.number);
  }

  /** From the guest, in one piece as the link's decoder hands it out. */
  emit(type: number, payload: Uint8Array = new Uint8Array(0), id = 0): void {
    if (isTerminal(type)) this.hasEnded = true;
    const frame = parseFrame(encodeFrame({ type, channel: this.number, id, payload }));
    if ('error' in frame) throw new Error(frame.error);
    this.#receiver.onFrame(frame.value);
  }

  lose(): void {
    this.#receiver.onLost(new Error('the link is lost'));
  }

  /** Settles when the condition holds after something was sent or the channel was closed. */
  async until(condition: (channel: ScriptedChannel) => boolean): Promise<void> {
    const seen = () =>
      `a channel's frames; there were ${this.sent.map(({ type }) => messageName(type)).join()}`;
    while (!condition(this)) {
      const changed = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await within(changed, seen);
    }
  }
}

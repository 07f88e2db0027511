import type { ChannelReceiver, RequesterChannel } from '../../protocol/channel-opener.ts';
import { encodeCredit, parseCredit } from '../../protocol/control-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { SocketChannel } from '../socket-channels/socket-channel.ts';

const { Credit, ErrorOutput, Input, Output } = messageTypes;

/**
 * A channel of the socket to a node, for whoever passes on a client's frames: he may grant more than came, and that
 * grants nothing. On the way to a guest that is the rule of the link; here the node would keep it, and what it sends
 * upon it would look like a broken rule of its own.
 */
export class NodeChannel implements RequesterChannel, ChannelReceiver {
  readonly #receiver: ChannelReceiver;
  readonly #channel: SocketChannel;
  /** Received, and not granted back. */
  #ungranted = 0;

  constructor(receiver: ChannelReceiver, open: (receiver: ChannelReceiver) => SocketChannel) {
    this.#receiver = receiver;
    this.#channel = open(this);
  }

  get number(): number {
    return this.#channel.number;
  }

  get inputCredit(): number {
    return this.#channel.inputCredit;
  }

  get outputWindow(): number {
    return this.#channel.outputWindow;
  }

  send(type: number, payload: Uint8Array): void {
    if (type === Credit.code) this.#grant(payload);
    else this.#channel.send(type, payload);
  }

  /** The socket has copied it when this returns. */
  sendLent(payload: Uint8Array): void {
    this.#channel.send(Input.code, payload);
  }

  close(): void {
    this.#channel.close();
  }

  onFrame(frame: Frame): void {
    if (frame.type === Output.code || frame.type === ErrorOutput.code)
      this.#ungranted += frame.payload.length;
    this.#receiver.onFrame(frame);
  }

  onLost(error: Error): void {
    this.#receiver.onLost(error);
  }

  #grant(payload: Uint8Array): void {
    const asked = parseCredit(payload);
    const granted = 'value' in asked ? Math.min(asked.value, this.#ungranted) : 0;
    if (granted === 0) return;
    this.#ungranted -= granted;
    this.#channel.send(Credit.code, encodeCredit(granted));
  }
}

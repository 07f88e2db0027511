import type { ChannelReceiver, RequesterChannel } from '../../protocol/channel-opener.ts';
import { encodeCredit, encodeError, parseCredit } from '../../protocol/control-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { payloadBytesMax } from '../../protocol/limits.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { SocketChannel } from '../socket-channels/socket-channel.ts';

const { Credit, Error: Refusal, ErrorOutput, Input, Output } = messageTypes;

/**
 * A channel of the socket to a node, for whoever passes on a client's frames: he may grant more than came, and that
 * grants nothing. On the way to a guest that is the rule of the link; here the node would keep it, and what it sends
 * upon it would look like a broken rule of its own. And input may be of any length here: a frame is not.
 *
 *   open ──terminal frame of the node, loss of the link──▶ ended
 *     └──given up──▶ given up: its receiver is told by an Error, and nothing after it
 */
export class NodeChannel implements RequesterChannel, ChannelReceiver {
  readonly #receiver: ChannelReceiver;
  readonly #channel: SocketChannel;
  /** Received, and not granted back. */
  #ungranted = 0;
  #isGivenUp = false;

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
    else if (type === Input.code) this.sendLent(payload);
    else this.#channel.send(type, payload);
  }

  /** It has been copied when this returns. */
  sendLent(payload: Uint8Array): void {
    for (let start = 0; start < payload.length; start += payloadBytesMax) {
      this.#channel.send(Input.code, payload.subarray(start, start + payloadBytesMax));
    }
  }

  close(): void {
    this.#channel.close();
  }

  /** What was sent is not on its way any more: nothing else is sent, and nothing arrives. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.#channel.close();
  }

  tellGivenUp(): void {
    const payload = encodeError({
      code: 'not_ready',
      message: 'its node takes nothing now, and too much waits',
    });
    this.#receiver.onFrame({ type: Refusal.code, channel: this.number, id: 0, payload });
  }

  onFrame(frame: Frame): void {
    if (this.#isGivenUp) return;
    if (frame.type === Output.code || frame.type === ErrorOutput.code)
      this.#ungranted += frame.payload.length;
    this.#receiver.onFrame(frame);
  }

  onLost(error: Error): void {
    if (!this.#isGivenUp) this.#receiver.onLost(error);
  }

  #grant(payload: Uint8Array): void {
    const asked = parseCredit(payload);
    const granted = 'value' in asked ? Math.min(asked.value, this.#ungranted) : 0;
    if (granted === 0) return;
    this.#ungranted -= granted;
    this.#channel.send(Credit.code, encodeCredit(granted));
  }
}

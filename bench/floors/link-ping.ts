import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { Frame } from '../../protocol/frame.ts';
import { viewOf } from '../../protocol/frame.ts';
import { nonceBytes, pingBytesMax, windowBytesDefault } from '../../protocol/limits.ts';
import { LinkDecoder } from '../../protocol/link-decoder.ts';
import { linkOverheadBytes, writeLinkFrame } from '../../protocol/link-framing.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encodeHello } from '../../protocol/session-messages.ts';

/**
 * F3: 64 bytes to the guest and back over the transport that a runtime gives, as a Ping frame, with nothing of ours
 * around it but the framing: no channels, no timers, no promises of a link.
 */
export class LinkPing {
  readonly #transport: Duplex;
  readonly #decoder = new LinkDecoder();
  readonly #payload = randomBytes(pingBytesMax);
  #lastId = 0;
  #onFrame: (frame: Frame) => void = () => {};

  static async open(transport: Duplex): Promise<LinkPing> {
    const link = new LinkPing(transport);
    const payload = encodeHello({ nonce: randomBytes(nonceBytes), window: windowBytesDefault });
    const { Hello, Welcome } = messageTypes;
    await link.#roundTrip({ type: Hello.code, channel: 0, id: 1, payload }, Welcome.code);
    return link;
  }

  private constructor(transport: Duplex) {
    this.#transport = transport;
    transport.on('data', (chunk: Buffer) => this.#decoder.push(chunk, (frame) => this.#onFrame(frame)));
  }

  /** One round trip; milliseconds. */
  call(): Promise<number> {
    this.#lastId += 1;
    const { Ping, Pong } = messageTypes;
    const ping = { type: Ping.code, channel: 0, id: this.#lastId, payload: this.#payload };
    return this.#roundTrip(ping, Pong.code);
  }

  #roundTrip(frame: Frame, answer: number): Promise<number> {
    const bytes = Buffer.alloc(linkOverheadBytes + frame.payload.length);
    writeLinkFrame(bytes, viewOf(bytes), 0, frame);
    return new Promise((resolve, reject) => {
      const startedMs = performance.now();
      this.#onFrame = ({ type }) => {
        if (type === answer) resolve(performance.now() - startedMs);
        else reject(new Error(`the guest answered with a frame of type ${type}`));
      };
      this.#transport.write(bytes);
    });
  }
}

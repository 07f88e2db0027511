import { Duplex } from 'node:stream';
import { encodeExecExit, encodeExecStarted } from '../../protocol/exec-messages.ts';
import { type Frame, noPayload, viewOf } from '../../protocol/frame.ts';
import { LinkDecoder } from '../../protocol/link-decoder.ts';
import { linkOverheadBytes, writeLinkFrame } from '../../protocol/link-framing.ts';
import { messageName, messageTypes } from '../../protocol/message-types.ts';
import { encodeWelcome, parseHello, type Welcome } from '../../protocol/session-messages.ts';
import { GuestLink, type GuestLinkOptions } from '../../src/guest-link/guest-link.ts';
import { within } from '../support/within.ts';
import { ManualClock } from './manual-clock.ts';

export type SentFrame = Partial<Frame> & { readonly type: number };

/** The other end of a link, in memory: says what the test tells it to, honest or not. */
export class ScriptedGuest {
  readonly transport: Duplex;
  /** Sizes of the writes that reached the transport. */
  readonly writes: number[] = [];
  /** Bytes to ignore before the first frame: the padding of a resync. */
  paddingBytes = 0;
  #stalledWrite: (() => void) | undefined;
  #stalled = false;
  readonly #decoder = new LinkDecoder();
  readonly #frames: Frame[] = [];
  #waiting: (() => void) | undefined;

  constructor() {
    this.transport = new Duplex({
      writableHighWaterMark: 65_536,
      read: () => {},
      write: (chunk: Buffer, _encoding, done) => {
        this.writes.push(chunk.length);
        this.#onBytes(chunk);
        if (this.#stalled) this.#stalledWrite = done;
        else done();
      },
    });
  }

  /** Stop taking what the node writes; one write still goes through, as into a pipe's buffer. */
  stall(): void {
    this.#stalled = true;
  }

  resume(): void {
    this.#stalled = false;
    this.#stalledWrite?.();
    this.#stalledWrite = undefined;
  }

  /** Frames from the node that nobody has asked for yet. */
  get unread(): readonly Frame[] {
    return this.#frames;
  }

  async next(type: number): Promise<Frame> {
    while (this.#frames.length === 0) {
      const arrival = new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
      await within(arrival, () => `${messageName(type)}, and the node sent nothing`);
    }
    const frame = this.#frames.shift();
    if (frame?.type !== type) throw new Error(`expected type ${type}, the node sent ${frame?.type}`);
    return frame;
  }

  send(...frames: readonly SentFrame[]): void {
    this.sendBytes(encodeAll(frames));
  }

  sendBytes(bytes: Uint8Array): void {
    this.transport.push(bytes);
  }

  async welcome(change: Partial<Welcome> = {}): Promise<void> {
    const hello = await this.next(messageTypes.Hello.code);
    const parsed = parseHello(hello.payload);
    if ('error' in parsed) throw new Error(parsed.error);
    this.send(welcomeFrame({ nonce: parsed.value.nonce, ...change }));
  }

  /** Answers the next start and gives back its channel. */
  async acknowledge(pid = 100): Promise<number> {
    const { channel, id } = await this.next(messageTypes.ExecStart.code);
    this.send({
      type: messageTypes.Ack.code,
      channel,
      id,
      payload: encodeExecStarted({ pid, process: channel }),
    });
    return channel;
  }

  exit(channel: number, exitCode = 0): void {
    this.send(exitFrame(channel, exitCode));
  }

  #onBytes(chunk: Buffer): void {
    const skipped = Math.min(this.paddingBytes, chunk.length);
    this.paddingBytes -= skipped;
    this.#decoder.push(chunk.subarray(skipped), (frame) => this.#frames.push(frame));
    if (this.#decoder.end !== null) throw new Error(`the node broke the protocol: ${this.#decoder.end}`);
    this.#waiting?.();
    this.#waiting = undefined;
  }
}

export function welcomeFrame(change: Partial<Welcome> & { nonce: Uint8Array }): SentFrame {
  const welcome = { window: 262_144, pid: 1, uid: 0, channelsMax: 256, ...change };
  return { type: messageTypes.Welcome.code, id: 1, payload: encodeWelcome(welcome) };
}

export function exitFrame(channel: number, exitCode = 0): SentFrame {
  const exit = { exitCode, signal: null, timedOut: false, durationUs: 1_000 };
  return { type: messageTypes.ExecExit.code, channel, payload: encodeExecExit(exit) };
}

export function encodeAll(frames: readonly SentFrame[]): Uint8Array {
  const whole = frames.map((frame) => ({ channel: 0, id: 0, payload: noPayload, ...frame }));
  const bytes = new Uint8Array(
    whole.reduce((sum, { payload }) => sum + payload.length + linkOverheadBytes, 0),
  );
  let offset = 0;
  for (const frame of whole) offset = writeLinkFrame(bytes, viewOf(bytes), offset, frame);
  return bytes;
}

export async function openScripted(
  options: Partial<GuestLinkOptions> = {},
  welcome: Partial<Welcome> = {},
): Promise<{ guest: ScriptedGuest; link: GuestLink; clock: ManualClock }> {
  const guest = new ScriptedGuest();
  const clock = new ManualClock();
  const opening = GuestLink.open(guest.transport, { clock, resync: false, openTimeoutMs: 1_000, ...options });
  await guest.welcome(welcome);
  return { guest, link: await opening, clock };
}

import { encodeFrameInto, type Frame, headerBytes } from '../../protocol/frame.ts';
import { payloadBytesMax } from '../../protocol/limits.ts';
import { ChannelQueue } from './channel-queue.ts';
import type { HeldBytes } from './held-bytes.ts';
import type { NodeSocket } from './node-socket.ts';

/**
 * What leaves for one sandbox over its socket.
 *
 *   passing ──the network takes no more──▶ paused ──what the socket holds has left──▶ passing
 *
 * While it passes, a frame goes to the socket at once. While it is paused each channel keeps its own frames, which then
 * leave in turn, one of each channel; channel 0 is not held, since its requests are counted and its pings are few.
 *
 * Invariants: the socket holds a few KiB and one frame at most, however slow the node is; a channel holds its window; and
 * when all links of the process hold more than they may together, the channel that holds most is given up, of the link
 * that holds most: so whoever fills the memory pays for it, and not everybody on a slow node.
 */
export class LinkOutbox {
  readonly #deps: LinkOutboxDeps;
  readonly #queues = new Map<number, ChannelQueue>();
  #heldBytes = 0;
  #isPaused = false;
  #isClosed = false;

  constructor(deps: LinkOutboxDeps) {
    this.#deps = deps;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether answers to the node's own questions had better be left out. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The payload is the caller's again when this returns. */
  send(frame: Frame): void {
    if (this.#isClosed) return;
    const passes = frame.channel === 0 || (!this.#isPaused && this.#queues.size === 0);
    if (passes) this.#write(frame);
    else this.#hold(frame);
  }

  /** Nothing more is sent for the channel that holds most; its owner is told. */
  giveUpLargest(): void {
    let largest: [number, ChannelQueue] | undefined;
    for (const entry of this.#queues) {
      if (largest === undefined || entry[1].heldBytes > largest[1].heldBytes) largest = entry;
    }
    if (largest === undefined) return;
    const [number, queue] = largest;
    this.#queues.delete(number);
    this.#changed(-queue.heldBytes);
    this.#deps.onGivenUp(number, queue);
  }

  close(): void {
    this.#isClosed = true;
    this.#queues.clear();
    this.#changed(-this.#heldBytes);
  }

  #hold({ type, channel, payload }: Frame): void {
    const queue = this.#queues.get(channel) ?? new ChannelQueue(channel);
    this.#queues.set(channel, queue);
    const beforeBytes = queue.heldBytes;
    queue.push(type, payload);
    this.#changed(queue.heldBytes - beforeBytes);
  }

  #write(frame: Frame): void {
    const { socket } = this.#deps;
    const message = encodeFrameInto(room, frame);
    const isMuch = socket.bufferedBytes + message.length > socketBytesMax;
    socket.send(message, isMuch ? this.#onWritten : undefined);
    if (isMuch && socket.bufferedBytes > socketBytesMax) this.#isPaused = true;
  }

  /** Of the last message that was much, if of nothing else: so it does not stay paused. */
  readonly #onWritten = (): void => {
    if (!this.#isPaused || this.#isClosed || this.#deps.socket.bufferedBytes > socketBytesMax) return;
    this.#isPaused = false;
    for (const [number, queue] of this.#queues) {
      if (this.#isPaused || this.#isClosed) return;
      this.#queues.delete(number);
      const beforeBytes = queue.heldBytes;
      const frame = queue.shift();
      this.#changed(queue.heldBytes - beforeBytes);
      if (frame !== null) this.#write(frame);
      // Behind the others: a map is gone through in the order of insertion, and to its end as it is then.
      if (!queue.isEmpty) this.#queues.set(number, queue);
    }
  };

  #changed(bytes: number): void {
    this.#heldBytes += bytes;
    this.#deps.held.changed(this, bytes);
  }
}

export interface LinkOutboxDeps {
  readonly socket: NodeSocket;
  readonly held: HeldBytes;
  /** What the channel's queue holds is not sent. */
  readonly onGivenUp: (channel: number, unsent: ChannelQueue) => void;
}

/** Where frames are put together: the socket has copied a message when `send` returns, so one room does for all. */
const room = new Uint8Array(headerBytes + payloadBytesMax);
/** Enough to go on with while the process is told that the network takes more. */
const socketBytesMax = 16_384;

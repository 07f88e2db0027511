import type { Duplex } from 'node:stream';
import { type Frame, viewOf } from '../../protocol/frame.ts';
import { linkOverheadBytes, writeLinkFrame } from '../../protocol/link-framing.ts';
import type { Clock } from '../domain/clock.ts';
import { BatchBuffers, batchBytesMax } from './batch-buffers.ts';
import { settlesWritten } from './lending-transport.ts';

/** Something with frames for the guest that can wait: asked for one at a time, in turn with the others. */
export interface BulkSource {
  /** Takes the next frame, or null when it has nothing to send now. */
  take(): Frame | null;
}

/**
 * What leaves for the guest. It owns the order of frames, the batching and the transport's backpressure.
 *
 * Control frames (requests, pings) go at the end of the tick they were sent in, also when the transport is full. What an
 * open channel sends waits until the transport is writable and is taken from the channels in turn, one frame each, so
 * that one fat input does not starve the others. All frames of a tick travel in one write, bounded by `batchBytesMax`
 * for what can wait.
 *
 * A guest that does not read makes frames pile up. They are bounded: what a channel holds by its credit, control frames by
 * `backlogBytesMax`, past which the link is given up. So it is when all channels together hold more than that and the
 * guest has taken nothing for `stallMsMax`; before, it may only be short of processor time, and its clients keep the rules.
 *
 * Turned down: cork and writev, which depends on what kind of stream the runtime made; a copy into one buffer is
 * cheaper than one system call more, and lets a payload be lent: it has been copied when `offerNow` returns.
 */
export class Outbox {
  readonly #transport: Duplex;
  readonly #clock: Clock;
  readonly #onOverflow: () => void;
  readonly #buffers: BatchBuffers;
  #control: Frame[] = [];
  /** Sources with something to send, each at most once; the first is next. */
  readonly #sources = new Set<BulkSource>();
  /** When the transport last wanted to be left alone; null while it takes more. */
  #fullSinceMs: number | null = null;
  #flushScheduled = false;
  /** Input that waits in the channels. */
  #heldBytes = 0;
  #closed = false;

  constructor(transport: Duplex, deps: { clock: Clock; onOverflow: () => void }) {
    const { clock, onOverflow } = deps;
    this.#transport = transport;
    this.#clock = clock;
    this.#onOverflow = onOverflow;
    this.#buffers = settlesWritten(transport) ? usedAgain : usedOnce;
    transport.on('drain', () => {
      this.#fullSinceMs = null;
      this.#flush();
    });
  }

  /** Whether answers to the guest's own requests had better be left out. */
  get full(): boolean {
    return this.#fullSinceMs !== null;
  }

  send(frame: Frame): void {
    if (this.#closed) return;
    this.#control.push(frame);
    this.#schedule();
  }

  /** The source may have something to send now; it is asked when its turn comes. */
  offer(source: BulkSource): void {
    if (this.#closed) return;
    this.#sources.add(source);
    if (!this.full) this.#schedule();
  }

  /** The same for what is worth a write of its own: it is asked now, unless the transport is full. */
  offerNow(source: BulkSource): void {
    if (this.#closed) return;
    this.#sources.add(source);
    if (!this.full) this.#flush();
  }

  /** So much more input waits in a channel, or less. */
  held(change: number): void {
    this.#heldBytes += change;
    if (this.#heldBytes <= backlogBytesMax || this.#closed || this.#fullSinceMs === null) return;
    if (this.#clock.monotonicMs() - this.#fullSinceMs > stallMsMax) this.#onOverflow();
  }

  withdraw(source: BulkSource): void {
    this.#sources.delete(source);
  }

  close(): void {
    this.#closed = true;
    this.#control = [];
    this.#sources.clear();
  }

  #schedule(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#closed) {
      const frames = this.#control;
      this.#control = [];
      if (!this.full) this.#takeBulk(frames);
      if (frames.length === 0) return;
      if (!this.#write(frames)) this.#fullSinceMs ??= this.#clock.monotonicMs();
      if (this.#transport.writableLength > backlogBytesMax) this.#onOverflow();
    }
  }

  /** False: the transport wants to be left alone until `drain`. */
  #write(frames: readonly Frame[]): boolean {
    let length = 0;
    for (const frame of frames) length += frame.payload.length + linkOverheadBytes;
    const { bytes, giveBack } = this.#buffers.take(length);
    const view = viewOf(bytes);
    let offset = 0;
    for (const frame of frames) offset = writeLinkFrame(bytes, view, offset, frame);
    if (giveBack === null) return this.#transport.write(bytes);
    // After a failed write somebody may still hold it.
    return this.#transport.write(bytes, (error) => {
      if (!error) giveBack();
    });
  }

  /** Appends up to a batch of bulk frames to `frames`, one of each source per round. */
  #takeBulk(frames: Frame[]): void {
    let bytes = 0;
    while (bytes < batchBytesMax) {
      const source = first(this.#sources);
      if (source === undefined) return;
      this.#sources.delete(source);
      const frame = source.take();
      if (frame === null) continue;
      frames.push(frame);
      bytes += frame.payload.length + linkOverheadBytes;
      this.#sources.add(source);
    }
  }
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const item of set) return item;
  return undefined;
}

/** As many as four busy links have on the way. */
const usedAgain = new BatchBuffers(16);
const usedOnce = new BatchBuffers(0);
/** Above the largest honest backlog, some hundred starts of 64 KiB each; past it the guest is not reading. */
const backlogBytesMax = 33_554_432;
/** Longer than a limit of processor time or a checkpoint holds a guest up. */
const stallMsMax = 10_000;

/**
 * The bounds on what waits for slow clients: of one socket, and of all of them together. Grants of output (4.2 of the
 * protocol) keep well-behaved traffic far below the first; it is there for clients that grant without reading, and for
 * answers, which are under no credit.
 */
export class SendQueues {
  readonly #totalBytesMax: number;
  readonly socketBytesMax: number;
  #totalBytes = 0;

  constructor(options: { socketBytesMax?: number; totalBytesMax?: number } = {}) {
    this.socketBytesMax = options.socketBytesMax ?? socketBytesMaxDefault;
    this.#totalBytesMax = options.totalBytesMax ?? totalBytesMaxDefault;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Whether a socket with so much in its queue may add so much more. */
  hasRoom(queuedBytes: number, moreBytes: number): boolean {
    if (queuedBytes === 0) return true;
    return (
      queuedBytes + moreBytes <= this.socketBytesMax && this.#totalBytes + moreBytes <= this.#totalBytesMax
    );
  }

  /** A socket's queue is not what it was. */
  changed(beforeBytes: number, afterBytes: number): void {
    this.#totalBytes += afterBytes - beforeBytes;
  }
}

/** Twice what grants put on the way at most: 1 MiB, and 1 KiB for each of 1,024 channels. */
const socketBytesMaxDefault = 4_194_304;
/** I14: all clients of a process together. */
const totalBytesMaxDefault = 268_435_456;

/**
 * How much output one connection has granted, over all its channels (4.2 of the protocol): what a client that stops
 * reading can make the node hold. A new channel gets at most a quarter of what is left, so that the first ones do not
 * take it all, and always a little, so that none is shut out.
 */
export class OutputBudget {
  #leftBytes = budgetBytes;

  /** What the channel may have on the way; `giveBack` it at the channel's end. */
  take(wantedBytes: number): number {
    const fairBytes = Math.max(leastBytes, Math.floor(this.#leftBytes / 4));
    const windowBytes = Math.min(wantedBytes, fairBytes);
    this.#leftBytes -= windowBytes;
    return windowBytes;
  }

  giveBack(windowBytes: number): void {
    this.#leftBytes += windowBytes;
  }
}

const budgetBytes = 1_048_576;
const leastBytes = 1_024;

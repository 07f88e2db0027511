/**
 * A sequence that is read once, piece by piece. `leave` is called when its reader stops early, at once and also while a
 * piece is waited for: a generator would hear of that only behind the next piece, which may never come.
 */
export function readOnce<T>(read: () => Promise<T | undefined>, leave: () => void): AsyncIterableIterator<T> {
  return {
    async next(): Promise<IteratorResult<T>> {
      const value = await read();
      return value === undefined ? { done: true, value: undefined } : { done: false, value };
    },
    async return(): Promise<IteratorResult<T>> {
      leave();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Time as a value passed in. Leases never use it (they live on the store's clock); timeouts and timers do. */
export interface Clock {
  /** Milliseconds since some fixed point; never goes back. */
  monotonicMs(): number;
  /** Unix time in milliseconds, for the memory store and for logs only. */
  wallMs(): number;
  /** Calls back once; the returned function cancels. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): () => void;
}

export class SystemClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  }
}

/** Settles after the delay or when the signal aborts, whichever comes first. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      cancel();
      signal.removeEventListener('abort', settle);
      resolve();
    };
    const cancel = clock.after(delayMs, settle);
    signal.addEventListener('abort', settle);
  });
}

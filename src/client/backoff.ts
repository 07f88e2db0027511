/** How long to wait before connecting again. */
export interface ReconnectOptions {
  /** The first pause, before jitter. Default 100 ms. */
  readonly firstPauseMs?: number | undefined;
  /** No pause is longer. Default 10 s. */
  readonly pauseMsMax?: number | undefined;
  /** Without a connection for this long, the client gives up. Default 5 minutes; 0: it never connects again. */
  readonly giveUpAfterMs?: number | undefined;
}

export const reconnectDefaults: Required<{ [Key in keyof ReconnectOptions]: number }> = {
  firstPauseMs: 100,
  pauseMsMax: 10_000,
  giveUpAfterMs: 300_000,
};

/**
 * Pauses double up to a bound, each of them shortened by up to a half at random, so that the clients of a node that
 * restarted do not come back all at once.
 */
export function pauseMs(
  failures: number,
  options: { readonly firstPauseMs: number; readonly pauseMsMax: number },
  random: () => number = Math.random,
): number {
  const whole = Math.min(options.firstPauseMs * 2 ** Math.min(failures, 30), options.pauseMsMax);
  return whole * (1 - random() / 2);
}

/** Calls a second with `inFlight` of them always under way. */
export async function callsPerSecond(
  call: () => Promise<unknown>,
  options: { readonly calls: number; readonly inFlight: number; readonly signal: AbortSignal },
): Promise<number> {
  let left = options.calls;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      options.signal.throwIfAborted();
      left -= 1;
      await call();
    }
  };
  const startedMs = performance.now();
  await Promise.all(Array.from({ length: options.inFlight }, lane));
  return (options.calls / (performance.now() - startedMs)) * 1_000;
}

/** Runs `work` for 0 … count - 1 with at most `inFlight` under way. */
export async function forEachInFlight(
  count: number,
  inFlight: number,
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, lane));
}

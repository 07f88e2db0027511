/** Linux numbers of the signals that a client may send by name. */
export const xgenSignals: ReadonlyMap<string, number> = new Map([
  ['SIGHUP', 1],
  ['SIGINT', 2],
  ['SIGQUIT', 3],
  ['SIGKILL', 9],
  ['SIGUSR1', 10],
  ['SIGUSR2', 12],
  ['SIGTERM', 15],
]);

export const sigterm = 15;
export const sigkill = 9;

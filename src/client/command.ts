import type { StartProcess } from '../operations/process.ts';

/** A program with its arguments, or a line for `/bin/sh -c`. */
export type CommandLine = string | readonly string[];

export interface CommandOptions {
  /** Added to the environment of the template and of the claim. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Absolute. Absent: the claim's, else the template's. */
  readonly cwd?: string | undefined;
  /** `name`, `uid`, `name:group`. Absent: the claim's, else the template's. */
  readonly user?: string | undefined;
  /** The process gets SIGTERM then, and SIGKILL 2 s later. Absent: none. */
  readonly timeoutMs?: number | undefined;
  /** Ends the process. */
  readonly signal?: AbortSignal | undefined;
}

export interface PersistOptions {
  /** The process outlives the connection: it is attached to again after a cut, and by others with `processes.attach`. */
  readonly persist?: boolean | undefined;
  /** Bytes of output that are kept for that, up to 1 MiB; all processes of a sandbox together have 8 MiB. Default 256 KiB. */
  readonly replayBytes?: number | undefined;
}

export function startRequest(command: CommandLine, options: CommandOptions & PersistOptions): StartProcess {
  const { env, cwd, user, timeoutMs, persist = false, replayBytes = replayBytesDefault } = options;
  const argv = typeof command === 'string' ? [shell, '-c', command] : command;
  const request = { argv, env, cwd, user, timeoutMs };
  if (!persist) return request;
  // What is on its way when the connection breaks must be among what is kept.
  return { ...request, detach: true, replayBytes, windowBytes: Math.max(1, Math.floor(replayBytes / 2)) };
}

const shell = '/bin/sh';
const replayBytesDefault = 262_144;

export type SignalName = keyof typeof signalNumbers;

/** Of Linux on every processor that Node runs on. */
export const signalNumbers = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGWINCH: 28,
} as const;

export function signalNumber(signal: SignalName | number): number {
  return typeof signal === 'number' ? signal : signalNumbers[signal];
}

import { type Process, type ProcessSink, type StartProcess, startProcess } from '../operations/process.ts';
import { call } from './client-call.ts';
import {
  type CommandLine,
  type CommandOptions,
  type PersistOptions,
  signalNumbers,
  startRequest,
} from './command.ts';
import type { DataConnection } from './connection.ts';

/**
 * Starts what the caller asked for. Aborting its signal ends the process: closing the channel does that to an ordinary
 * one, but one that persists would go on without it, and is killed first.
 */
export async function startCommand(
  connection: DataConnection,
  command: CommandLine,
  options: CommandOptions & PersistOptions,
  more: Pick<StartProcess, 'stdin' | 'tty'> & { readonly sink?: ProcessSink },
): Promise<Process> {
  const { sink, ...choices } = more;
  const request = { ...startRequest(command, options), ...choices };
  const { signal, persist = false } = options;
  if (!persist || signal === undefined) {
    return call(connection, signal, () => startProcess(connection, request, { sink, signal }));
  }
  const ending = new AbortController();
  let process: Process | undefined;
  const abort = () => {
    process?.signal(signalNumbers.SIGKILL);
    ending.abort(signal.reason);
  };
  signal.addEventListener('abort', abort, { once: true });
  const forget = () => signal.removeEventListener('abort', abort);
  try {
    process = await call(connection, signal, () =>
      startProcess(connection, request, { sink, signal: ending.signal }),
    );
    process.exited.then(forget, forget);
    return process;
  } catch (error) {
    forget();
    throw error;
  }
}

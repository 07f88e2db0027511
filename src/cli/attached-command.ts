import { constants } from 'node:os';
import type { ExecSession } from '../client/exec-session.ts';
import type { Command as SandboxCommand, WarmpoolClient } from '../client/grpc-client.ts';
import { exitCodes } from './failure.ts';

/**
 * Runs a command in a sandbox as if it ran here: its output to ours, our stdin (when `interactive`) to its own, our
 * signals to it. Resolves to the exit code a shell would give: its own, 128 and the signal, 124 when its time was up.
 *
 * The first SIGINT, SIGTERM or SIGHUP goes to the command, which may finish as it likes; the second one kills it.
 */
export async function runAttached(
  client: WarmpoolClient,
  command: SandboxCommand,
  options: { readonly interactive: boolean },
): Promise<number> {
  const kill = new AbortController();
  const session = client.execStream({ ...command, noStdin: !options.interactive }, writeOutput, {
    signal: kill.signal,
  });
  const stopForwarding = forwardSignals(session, kill);
  // A reader that went away (`| head`) ends the command as it would end a local one.
  let readerIsGone = false;
  const readerGone = () => {
    readerIsGone = true;
    kill.abort();
  };
  process.stdout.on('error', readerGone);
  if (options.interactive) forwardStdin(session);
  try {
    await session.started;
    const exit = await session.exited;
    if (exit.timedOut) return exitCodes.timedOut;
    return exit.signal === null ? (exit.exitCode ?? exitCodes.warmpool) : exitCodes.signalled + exit.signal;
  } catch (error) {
    const { SIGKILL, SIGPIPE } = constants.signals;
    if (kill.signal.aborted) return exitCodes.signalled + (readerIsGone ? SIGPIPE : SIGKILL);
    throw error;
  } finally {
    stopForwarding();
    process.stdout.off('error', readerGone);
    process.stdout.on('error', () => {});
    if (options.interactive) process.stdin.destroy();
  }
}

/** The command waits while whoever reads our output does not. */
function writeOutput(stream: 'stdout' | 'stderr', bytes: Buffer): void | Promise<void> {
  const target = process[stream];
  if (target.write(bytes)) return;
  return new Promise((resolve) => {
    const resume = () => {
      target.off('drain', resume).off('close', resume);
      resolve();
    };
    target.on('drain', resume).on('close', resume);
  });
}

function forwardStdin(session: ExecSession): void {
  process.stdin.on('data', (bytes: Buffer) => {
    process.stdin.pause();
    void session.writeStdin(bytes).then(() => process.stdin.resume());
  });
  process.stdin.once('end', () => session.endStdin());
  // A terminal that went away, or a closed stdin: there is no more input.
  process.stdin.once('error', () => session.endStdin());
}

function forwardSignals(session: ExecSession, kill: AbortController): () => void {
  let received = 0;
  const forward = (name: NodeJS.Signals) => {
    received += 1;
    if (received === 1) session.signal(constants.signals[name]);
    else kill.abort();
  };
  for (const name of forwarded) process.on(name, forward);
  return () => {
    for (const name of forwarded) process.off(name, forward);
  };
}

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

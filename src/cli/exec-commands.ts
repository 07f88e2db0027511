import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { WarmpoolClient } from '../client/grpc-client.ts';
import type { SandboxView } from '../client/views.ts';
import { runAttached } from './attached-command.ts';
import { runOnThisTerminal } from './attached-terminal.ts';
import { withClient } from './connection.ts';
import { type CreateFlags, createCall, createOptions, withCreateFlags } from './create-flags.ts';
import { describeFailure, guarded, Interrupted } from './failure.ts';
import { collectPair, durationOption, given } from './options.ts';
import { keptAlive, withSandbox } from './sandbox-session.ts';

export function addExecCommands(program: Command): void {
  program
    .command('exec')
    .description('run a command in a sandbox; its exit code is passed through')
    .argument('<id>')
    .argument('<command...>', 'after --')
    .option('-i, --interactive', 'give it this stdin')
    .option('-t, --tty', 'on this terminal, as a shell would run it')
    .option('--env <K=V>', 'on top of the environment; may be repeated', collectPair)
    .option('--cwd <dir>', 'directory to run it in')
    .option('--user <name>', 'user to run it as')
    .option('--timeout <duration>', 'kill it after this long (exit code 124)', durationOption)
    .action(guarded(exec));

  withCreateFlags(program.command('run'))
    .description('take a sandbox, run a command in it, end the sandbox')
    .argument('<template>')
    .argument('<command...>', 'after --')
    .option('-i, --interactive', 'give it this stdin')
    .action(guarded(run));
}

interface ExecFlags {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly user?: string;
  readonly timeout?: number;
}

async function exec(id: string, argv: readonly string[], flags: ExecFlags, command: Command): Promise<void> {
  const { interactive = false, tty = false, env, cwd, user, timeout } = flags;
  const options = given({ env, cwd, user, timeoutMs: timeout });
  if (tty) {
    process.exitCode = await withSandbox(command, id, async (sandbox) => {
      using _lease = keptAlive(sandbox);
      return await runOnThisTerminal(sandbox, (size) => sandbox.pty({ command: argv, ...options, ...size }));
    });
    return;
  }
  process.exitCode = await withClient(command, (client) =>
    runAttached(client, { sandboxId: id, argv, ...options }, { interactive }),
  );
}

async function run(
  template: string,
  argv: readonly string[],
  flags: CreateFlags & { readonly interactive?: boolean },
  command: Command,
): Promise<void> {
  const { interactive = false } = flags;
  process.exitCode = await withClient(command, async (client) => {
    const sandbox = await createUnlessInterrupted(client, template, flags);
    const stopKeepingAlive = keepAlive(client, sandbox);
    try {
      return await runAttached(client, { sandboxId: sandbox.id, argv }, { interactive });
    } finally {
      stopKeepingAlive();
      await client.delete(sandbox.id).catch((error: unknown) => {
        process.stderr.write(`warmpool: sandbox ${sandbox.id} was not ended: ${describeFailure(error)}\n`);
      });
    }
  });
}

/** Interrupted while it waits for a sandbox, the call is cancelled, and the service lets go of what it had begun. */
async function createUnlessInterrupted(
  client: WarmpoolClient,
  template: string,
  flags: CreateFlags,
): Promise<SandboxView> {
  const interrupted = new AbortController();
  const interrupt = (_name: string, signalNumber: number) => interrupted.abort(new Interrupted(signalNumber));
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, interrupt);
  try {
    const { signal } = interrupted;
    return await client.create(template, createOptions(flags), { ...createCall(flags), signal });
  } catch (error) {
    throw interrupted.signal.aborted ? interrupted.signal.reason : error;
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, interrupt);
  }
}

/** Renews the lease at a third of what is left, so that two renewals may be lost. */
function keepAlive(client: WarmpoolClient, sandbox: SandboxView): () => void {
  const stopped = new AbortController();
  const renewForever = async () => {
    let remainingMs = sandbox.remainingMs;
    while (!stopped.signal.aborted) {
      await sleep(Math.max(250, (remainingMs ?? retryMs) / 3), undefined, { signal: stopped.signal });
      // The command's own stream says what is wrong; a hiccup is tried again.
      const renewed = await client.keepAlive(sandbox.id).catch(() => null);
      remainingMs = renewed?.remainingMs ?? retryMs;
    }
  };
  renewForever().catch(() => {});
  return () => stopped.abort();
}

const retryMs = 3_000;

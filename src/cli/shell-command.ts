import type { Command } from 'commander';
import type { WarmpoolClient } from '../client/grpc-client.ts';
import type { NodeSandbox } from '../client/node/node-sandbox.ts';
import { isSandboxId } from '../domain/ids.ts';
import { runOnThisTerminal } from './attached-terminal.ts';
import { withClient } from './connection.ts';
import { type CreateFlags, createCall, createOptions, withCreateFlags } from './create-flags.ts';
import { describeFailure, guarded } from './failure.ts';
import { countOption, given } from './options.ts';
import { connectTo, keptAlive } from './sandbox-session.ts';

export function addShellCommand(program: Command): void {
  withCreateFlags(program.command('shell'))
    .description('a shell in a sandbox on this terminal; of a template: in one that ends with the shell')
    .argument('<id|template>')
    .argument('[command...]', 'after --: instead of a login shell')
    .option('--attach <process>', 'go on with one that was left running', countOption)
    .addHelpText('after', '\nAt the beginning of a line ~. hangs up, ~d leaves it running, ~? shows more.')
    .action(guarded(shell));
}

interface ShellFlags extends CreateFlags {
  readonly attach?: number;
}

async function shell(
  place: string,
  argv: readonly string[],
  flags: ShellFlags,
  command: Command,
): Promise<void> {
  process.exitCode = await withClient(command, async (client) => {
    if (!isSandboxId(place)) return await shellInNewOne(client, place, argv, flags);
    await using sandbox = await connectTo(await client.get(place));
    return await shellIn(sandbox, argv, flags);
  });
}

async function shellInNewOne(
  client: WarmpoolClient,
  template: string,
  argv: readonly string[],
  flags: ShellFlags,
): Promise<number> {
  const view = await client.create(template, createOptions(flags), createCall(flags));
  try {
    await using sandbox = await connectTo(view);
    // What the sandbox was made with counts for its commands already.
    return await shellIn(sandbox, argv, {});
  } finally {
    await client.delete(view.id).catch((error: unknown) => {
      process.stderr.write(`warmpool: sandbox ${view.id} was not ended: ${describeFailure(error)}\n`);
    });
  }
}

async function shellIn(sandbox: NodeSandbox, argv: readonly string[], flags: ShellFlags): Promise<number> {
  using _lease = keptAlive(sandbox);
  const { attach, env, cwd, user } = flags;
  return await runOnThisTerminal(sandbox, async (size) => {
    if (attach === undefined) {
      const command = argv.length > 0 ? argv : undefined;
      return await sandbox.pty({ ...given({ command, env, cwd, user }), ...size });
    }
    const terminal = await sandbox.processes.attachTerminal(attach);
    // A program draws its screen again when it is told of a size.
    terminal.resize({ ...size, rows: Math.max(1, size.rows - 1) });
    terminal.resize(size);
    return terminal;
  });
}

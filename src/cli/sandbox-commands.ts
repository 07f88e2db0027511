import { type Command, InvalidArgumentError } from 'commander';
import { type SandboxState, sandboxStates } from '../domain/sandbox.ts';
import { withClient } from './connection.ts';
import { type CreateFlags, createCall, createOptions, withCreateFlags } from './create-flags.ts';
import { guarded, reportFailure } from './failure.ts';
import { collectPair, durationOption, given } from './options.ts';
import { printable } from './printable.ts';
import { type OutputFlags, printSandbox, printSandboxes } from './sandbox-output.ts';

const json = ['--json', 'one JSON document'] as const;
const quiet = ['-q, --quiet', 'ids only'] as const;

export function addSandboxCommands(program: Command): void {
  withCreateFlags(program.command('create <template>'))
    .description('take a ready sandbox of a template')
    .option('--request-id <id>', 'repeat safely: the same id gives the same sandbox')
    .option(...json)
    .option(...quiet)
    .action(guarded(create));

  program
    .command('ls')
    .description('list your sandboxes')
    .option('--template <name>', 'of this template only')
    .option('--state <state>', 'in this state only; may be repeated', collectState)
    .option('--metadata <K=V>', 'with this metadata only; may be repeated', collectPair)
    .option(...json)
    .option(...quiet)
    .action(guarded(list));

  program
    .command('get <id>')
    .description('show a sandbox')
    .option(...json)
    .action(
      guarded(async (id: string, flags: OutputFlags, command: Command) => {
        printSandbox(await withClient(command, (client) => client.get(id)), flags);
      }),
    );

  program
    .command('keepalive <id>')
    .description('renew the lease of a sandbox')
    .option('--for <duration>', 'from now, if that is later (default: its own timeout)', durationOption)
    .option(...json)
    .action(
      guarded(async (id: string, flags: OutputFlags & { readonly for?: number }, command: Command) => {
        printSandbox(await withClient(command, (client) => client.keepAlive(id, flags.for)), flags);
      }),
    );

  program
    .command('timeout')
    .description('make a sandbox end this long from now unless it is kept alive; may shorten')
    .argument('<id>')
    .argument('<duration>', 'such as 90s, 5m or 1h30m', durationOption)
    .option(...json)
    .action(
      guarded(async (id: string, timeoutMs: number, flags: OutputFlags, command: Command) => {
        printSandbox(await withClient(command, (client) => client.setTimeout(id, timeoutMs)), flags);
      }),
    );

  program
    .command('rm <id...>')
    .description('end sandboxes; prints the id of each one that is gone')
    .action(guarded(remove));
}

async function create(template: string, flags: CreateFlags & OutputFlags, command: Command): Promise<void> {
  const created = await withClient(command, (client) =>
    client.create(template, createOptions(flags), createCall(flags)),
  );
  printSandbox(created, flags);
}

async function list(flags: ListFlags & OutputFlags, command: Command): Promise<void> {
  const { template, state: states, metadata } = flags;
  const sandboxes = await withClient(command, async (client) => {
    const found = [];
    for await (const sandbox of client.list(given({ template, states, metadata }))) found.push(sandbox);
    return found;
  });
  printSandboxes(sandboxes, flags);
}

async function remove(ids: readonly string[], _flags: object, command: Command): Promise<void> {
  await withClient(command, async (client) => {
    const gone = ids.map(async (id) => {
      await client.delete(id);
      process.stdout.write(`${printable(id)}\n`);
    });
    await Promise.all(gone.map((removal) => removal.catch(reportFailure)));
  });
}

interface ListFlags {
  readonly template?: string;
  readonly state?: readonly SandboxState[];
  readonly metadata?: Record<string, string>;
}

function collectState(text: string, states: readonly SandboxState[] = []): readonly SandboxState[] {
  const state = sandboxStates.find((known) => known === text);
  if (state === undefined) throw new InvalidArgumentError(`Allowed states are ${sandboxStates.join(', ')}.`);
  return [...states, state];
}

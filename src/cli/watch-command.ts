import type { Command } from 'commander';
import type { SandboxEventView } from '../client/views.ts';
import { withClient } from './connection.ts';
import { guarded } from './failure.ts';
import { type FileWatchFlags, watchFilesOf } from './file-watch.ts';
import { given } from './options.ts';
import { printable, printableJson } from './printable.ts';
import { interruptible } from './sandbox-session.ts';

export function addWatchCommand(program: Command): void {
  program
    .command('watch')
    .description('print what happens to your sandboxes, or to the files of one, until interrupted')
    .argument('[id]', 'of this sandbox only')
    .argument('[path]', 'to the files in this directory of it')
    .option('--id <id>', 'of this sandbox only')
    .option('--after <event-id>', 'begin after this event (default: now)')
    .option('-r, --recursive', 'with a path: what is below it too')
    .option('--json', 'one JSON document on each line')
    .action(guarded(watch));
}

interface WatchFlags extends FileWatchFlags {
  readonly id?: string;
  readonly after?: string;
}

async function watch(
  id: string | undefined,
  path: string | undefined,
  flags: WatchFlags,
  command: Command,
): Promise<void> {
  if (id !== undefined && path !== undefined) await watchFilesOf(id, path, flags, command);
  else await watchSandboxes(id ?? flags.id, flags, command);
}

async function watchSandboxes(id: string | undefined, flags: WatchFlags, command: Command): Promise<void> {
  using interruption = interruptible();
  const { signal } = interruption;
  const format = flags.json ? formatJson : formatLine;
  await withClient(command, async (client) => {
    const filter = given({ id, afterEventId: flags.after });
    for await (const event of client.watch(filter, { signal })) {
      process.stdout.write(`${format(event)}\n`);
    }
  });
}

function formatLine({ at, id, template, from, to, reason }: SandboxEventView): string {
  const step = `${from ?? 'new'} -> ${to}${reason === null ? '' : ` (${reason})`}`;
  return `${at.toISOString()}  ${printable(id)}  ${printable(template)}  ${step}`;
}

function formatJson({ eventId, nodeId, at, ...event }: SandboxEventView): string {
  return printableJson({ event_id: eventId, ...event, at: at.toISOString(), node_id: nodeId }, 0);
}

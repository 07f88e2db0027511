import type { Command } from 'commander';
import type { SandboxEventView } from '../client/views.ts';
import { withClient } from './connection.ts';
import { guarded } from './failure.ts';
import { given } from './options.ts';
import { printable, printableJson } from './printable.ts';

export function addWatchCommand(program: Command): void {
  program
    .command('watch')
    .description('print what happens to your sandboxes, until interrupted')
    .option('--id <id>', 'of this sandbox only')
    .option('--after <event-id>', 'begin after this event (default: now)')
    .option('--json', 'one JSON document on each line')
    .action(guarded(watch));
}

interface WatchFlags {
  readonly id?: string;
  readonly after?: string;
  readonly json?: boolean;
}

async function watch(flags: WatchFlags, command: Command): Promise<void> {
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort());
  process.once('SIGTERM', () => interrupted.abort());
  const format = flags.json ? formatJson : formatLine;
  await withClient(command, async (client) => {
    const filter = given({ id: flags.id, afterEventId: flags.after });
    for await (const event of client.watch(filter, { signal: interrupted.signal })) {
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

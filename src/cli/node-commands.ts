import type { Command } from 'commander';
import pc from 'picocolors';
import type { NodeSummary } from '../client/views.ts';
import { withClient } from './connection.ts';
import { followDrain } from './drain-progress.ts';
import { formatDuration } from './duration.ts';
import { guarded } from './failure.ts';
import { durationOption } from './options.ts';
import { printableJson } from './printable.ts';
import { type Column, formatTable } from './table.ts';

const json = ['--json', 'one JSON document'] as const;

export function addNodeCommands(program: Command): void {
  program
    .command('nodes')
    .description('show the nodes, or one of them')
    .argument('[node]', 'this one, with what is left on it')
    .option(...json)
    .action(
      guarded(async (id: string | undefined, flags: NodeFlags, command: Command) => {
        const found = await withClient(command, async (client) =>
          id === undefined ? client.nodes() : [await client.node(id)],
        );
        if (!flags.json) process.stdout.write(formatTable(id === undefined ? columns : oneColumns, found));
        else
          process.stdout.write(
            `${printableJson(id === undefined ? found.map(nodeJson) : found.map(nodeJson)[0])}\n`,
          );
      }),
    );
  program
    .command('cordon <node>')
    .description('start nothing new on a node and hand out nothing from it; what runs goes on')
    .option(...json)
    .action(
      guarded(async (id: string, flags: NodeFlags, command: Command) => {
        printNode(await withClient(command, (client) => client.cordonNode(id)), flags);
      }),
    );
  program
    .command('uncordon <node>')
    .description('put a node back into service')
    .option(...json)
    .action(
      guarded(async (id: string, flags: NodeFlags, command: Command) => {
        printNode(await withClient(command, (client) => client.uncordonNode(id)), flags);
      }),
    );
  program
    .command('drain <node>')
    .description('cordon a node and wait until nothing is left on it; interrupted, the drain goes on')
    .option('--timeout <duration>', 'end what still runs after this long (default: never)', durationOption)
    .option('--no-wait', 'do not wait')
    .option(...json)
    .action(
      guarded(async (id: string, flags: DrainFlags, command: Command) => {
        const node = await withClient(command, async (client) => {
          const begun = await client.drainNode(id, flags.timeout);
          return flags.wait ? followDrain(client, begun) : begun;
        });
        printNode(node, flags);
      }),
    );
}

interface NodeFlags {
  readonly json?: boolean;
}

interface DrainFlags extends NodeFlags {
  readonly timeout?: number;
  readonly wait: boolean;
}

function printNode(node: NodeSummary, flags: NodeFlags): void {
  process.stdout.write(flags.json ? `${printableJson(nodeJson(node))}\n` : formatTable(oneColumns, [node]));
}

/** The field names are those of the contract, and stay. */
function nodeJson(node: NodeSummary): object {
  return {
    id: node.id,
    state: node.state,
    runtimes: node.runtimes,
    pools: node.pools,
    sandboxes: node.sandboxes,
    capacity: node.capacity,
    heartbeat_age_ms: node.heartbeatAgeMs,
    ordered_for_ms: node.orderedForMs,
    drain_ends_in_ms: node.drainEndsInMs,
    left: node.left,
  };
}

const columns: readonly Column<NodeSummary>[] = [
  { title: 'NODE', cell: ({ id }) => id },
  { title: 'STATE', cell: ({ state }) => state, paint: paintState },
  { title: 'SANDBOXES', cell: ({ sandboxes, capacity }) => `${sandboxes}/${capacity}` },
  { title: 'HEARD', cell: ({ heartbeatAgeMs }) => ago(heartbeatAgeMs) },
  { title: 'ORDERED', cell: ({ orderedForMs }) => ago(orderedForMs) },
  { title: 'RUNTIMES', cell: ({ runtimes }) => runtimes.join(',') },
  { title: 'POOLS', cell: ({ pools }) => pools.join(',') },
];

const oneColumns: readonly Column<NodeSummary>[] = [
  ...columns.slice(0, 2),
  { title: 'READY', cell: ({ left }) => String(left?.ready ?? '') },
  { title: 'STARTING', cell: ({ left }) => String(left?.starting ?? '') },
  { title: 'RUNNING', cell: ({ left }) => String(left?.running ?? '') },
  { title: 'STOPPING', cell: ({ left }) => String(left?.stopping ?? '') },
  { title: 'CAPACITY', cell: ({ capacity }) => String(capacity) },
  ...columns.slice(3),
  {
    title: 'ENDS IN',
    cell: ({ drainEndsInMs }) => (drainEndsInMs === null ? '' : formatDuration(drainEndsInMs)),
  },
];

function ago(ageMs: number | null): string {
  return ageMs === null ? '' : `${formatDuration(ageMs)} ago`;
}

function paintState(cell: string, { state }: NodeSummary): string {
  if (state === 'active') return pc.green(cell);
  return state === 'lost' || state === 'silent' ? pc.red(cell) : pc.yellow(cell);
}

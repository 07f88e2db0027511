import pc from 'picocolors';
import type { SandboxView } from '../client/views.ts';
import { formatDuration } from './duration.ts';
import { printable, printableJson } from './printable.ts';
import { type Column, formatTable } from './table.ts';

/** How to show sandboxes: a table for people, one JSON document for programs, ids for shells. */
export interface OutputFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function printSandboxes(sandboxes: readonly SandboxView[], flags: OutputFlags): void {
  if (flags.json) process.stdout.write(`${printableJson(sandboxes.map(sandboxJson))}\n`);
  else if (flags.quiet) for (const { id } of sandboxes) process.stdout.write(`${printable(id)}\n`);
  else process.stdout.write(formatTable(columns, sandboxes));
}

export function printSandbox(
  sandbox: SandboxView & { readonly repeated?: boolean },
  flags: OutputFlags,
): void {
  if (flags.json) process.stdout.write(`${printableJson(sandboxJson(sandbox))}\n`);
  else printSandboxes([sandbox], flags);
}

/** The field names are those of the contract, and stay. */
function sandboxJson(sandbox: SandboxView & { readonly repeated?: boolean }): object {
  return {
    id: sandbox.id,
    template: sandbox.template,
    state: sandbox.state,
    launch: sandbox.launch,
    node_id: sandbox.nodeId,
    created_at: sandbox.createdAt.toISOString(),
    expires_at: sandbox.expiresAt?.toISOString() ?? null,
    remaining_ms: sandbox.remainingMs,
    end_of_life_at: sandbox.endOfLifeAt?.toISOString() ?? null,
    metadata: sandbox.metadata,
    end_reason: sandbox.endReason,
    failure: sandbox.failure,
    ...(sandbox.repeated !== undefined && { repeated: sandbox.repeated }),
  };
}

const columns: readonly Column<SandboxView>[] = [
  { title: 'ID', cell: (sandbox) => sandbox.id },
  { title: 'TEMPLATE', cell: (sandbox) => sandbox.template },
  { title: 'STATE', cell: stateCell, paint: paintState },
  { title: 'LAUNCH', cell: (sandbox) => sandbox.launch },
  { title: 'NODE', cell: (sandbox) => sandbox.nodeId },
  { title: 'ENDS IN', cell: endsIn },
  {
    title: 'METADATA',
    cell: (sandbox) =>
      Object.entries(sandbox.metadata)
        .map(([key, value]) => `${key}=${value}`)
        .join(','),
  },
];

function stateCell({ state, endReason }: SandboxView): string {
  return endReason === null ? state : `${state} (${endReason})`;
}

function paintState(cell: string, { state }: SandboxView): string {
  if (state === 'running') return pc.green(cell);
  return state === 'failed' ? pc.red(cell) : pc.yellow(cell);
}

function endsIn({ remainingMs }: SandboxView): string {
  return remainingMs === null ? '' : formatDuration(remainingMs);
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { NodeSandbox } from '../client/node/node-sandbox.ts';
import { formatBytes } from './bytes.ts';
import { formatDuration } from './duration.ts';
import { guarded } from './failure.ts';
import { countOption, durationOption } from './options.ts';
import { printableJson } from './printable.ts';
import { interruptible, withSandbox } from './sandbox-session.ts';
import { type Column, formatTable } from './table.ts';

export function addTopCommand(program: Command): void {
  program
    .command('top <id>')
    .description('show what a sandbox uses, until interrupted')
    .option('--interval <duration>', 'between two looks', durationOption, 1_000)
    .option('--count <n>', 'end after this many looks', countOption)
    .option('--json', 'one JSON document on each line')
    .action(guarded(top));
}

interface TopFlags {
  readonly interval: number;
  readonly count?: number;
  readonly json?: boolean;
}

async function top(id: string, flags: TopFlags, command: Command): Promise<void> {
  using interruption = interruptible();
  const { signal } = interruption;
  await withSandbox(command, id, async (sandbox) => {
    const show = flags.json ? showJson : process.stdout.isTTY ? new LiveTable().show : showLines();
    let before: Look | null = null;
    for (let shown = 0; shown !== (flags.count ?? -1); shown += 1) {
      if (before !== null) await sleep(flags.interval, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      const look: Look = await lookAt(sandbox, before);
      show(look);
      before = look;
    }
  });
}

/** What is seen at one moment. */
interface Look {
  readonly atMs: number;
  readonly stats: Awaited<ReturnType<NodeSandbox['stats']>>;
  /** Of one processor, since the look before; null at the first. */
  readonly cpuShare: number | null;
  readonly ports: readonly number[];
  readonly processes: Awaited<ReturnType<NodeSandbox['processes']['list']>>;
}

async function lookAt(sandbox: NodeSandbox, before: Look | null): Promise<Look> {
  const [stats, ports, processes] = await Promise.all([
    sandbox.stats(),
    sandbox.ports.list(),
    sandbox.processes.list(),
  ]);
  const atMs = performance.now();
  const sinceUs = before === null ? 0 : (atMs - before.atMs) * 1_000;
  const cpuShare = before === null || sinceUs <= 0 ? null : (stats.cpuUs - before.stats.cpuUs) / sinceUs;
  return { atMs, stats, cpuShare, ports, processes };
}

/** The field names are those of the protocol, and stay. */
function showJson({ stats, cpuShare, ports, processes }: Look): void {
  const document = {
    cpu_us: stats.cpuUs,
    cpu_share: cpuShare === null ? null : Number(cpuShare.toFixed(4)),
    memory_bytes: stats.memoryBytes,
    memory_limit_bytes: stats.memoryLimitBytes ?? null,
    disk_used_bytes: stats.diskUsedBytes,
    disk_limit_bytes: stats.diskLimitBytes ?? null,
    pids: stats.pids,
    pids_limit: stats.pidsLimit ?? null,
    uptime_ms: stats.uptimeMs,
    ports,
    processes: processes.map((each) => ({ process: each.process, pid: each.pid, argv0: each.argv0 })),
  };
  process.stdout.write(`${printableJson(document, 0)}\n`);
}

const columns: readonly Column<Look>[] = [
  { title: 'CPU', cell: ({ cpuShare }) => (cpuShare === null ? '' : `${(cpuShare * 100).toFixed(1)}%`) },
  { title: 'MEMORY', cell: ({ stats }) => used(stats.memoryBytes, stats.memoryLimitBytes) },
  { title: 'DISK', cell: ({ stats }) => used(stats.diskUsedBytes, stats.diskLimitBytes) },
  { title: 'PIDS', cell: ({ stats }) => `${stats.pids}${stats.pidsLimit ? `/${stats.pidsLimit}` : ''}` },
  { title: 'UP', cell: ({ stats }) => formatDuration(stats.uptimeMs) },
  { title: 'PORTS', cell: ({ ports }) => ports.join(',') },
];

type Listed = Look['processes'][number];

const processColumns: readonly Column<Listed>[] = [
  { title: 'PROCESS', cell: ({ process: number }) => String(number) },
  { title: 'PID', cell: ({ pid }) => String(pid) },
  { title: 'STATE', cell: stateOf },
  { title: 'TTY', cell: ({ tty }) => (tty ? 'yes' : '') },
  { title: 'OUTPUT', cell: ({ end }) => formatBytes(end) },
  { title: 'COMMAND', cell: ({ argv0 }) => argv0 },
];

function stateOf({ running, attached, exitCode, signal }: Listed): string {
  if (running) return attached ? 'attached' : 'detached';
  return signal === undefined ? `exited ${exitCode ?? ''}` : `signal ${signal}`;
}

/** Each look in the place of the one before. */
class LiveTable {
  #lines = 0;

  readonly show = (look: Look): void => {
    const processes = look.processes.length > 0 ? `\n${formatTable(processColumns, look.processes)}` : '';
    const text = formatTable(columns, [look]) + processes;
    const rows = (process.stdout.rows ?? 24) - 1;
    const lines = text.trimEnd().split('\n').slice(0, rows);
    const back = this.#lines > 0 ? `\u001b[${this.#lines}A` : '';
    const width = process.stdout.columns ?? 80;
    const drawn = lines.map((line) => `${[...line].slice(0, width).join('')}\u001b[K\n`).join('');
    process.stdout.write(`${back}${drawn}\u001b[J`);
    this.#lines = lines.length;
  };
}

/** One line for each look, below one heading. */
function showLines(): (look: Look) => void {
  let isFirst = true;
  return (look) => {
    const [heading = '', ...lines] = formatTable(columns, [look]).split(/(?<=\n)/);
    process.stdout.write(isFirst ? heading + lines.join('') : lines.join(''));
    isFirst = false;
  };
}

function used(bytes: number, limit: number | undefined): string {
  return limit === undefined ? formatBytes(bytes) : `${formatBytes(bytes)}/${formatBytes(limit)}`;
}

import { statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { ClosingStack } from '../../src/closing-stack.ts';
import { containerName } from '../../src/runtime/docker/container-options.ts';
import { groupFileOf } from '../../test/support/bubblewrap-sandboxes.ts';
import { clientOf } from '../../test/support/docker-images.ts';
import { guestPath, openLink, run as runCommand } from '../../test/support/docker-sandboxes.ts';
import {
  groupMemoryKb,
  type HostMemory,
  hostMemory,
  memoryOf,
  type ProcessMemory,
  parentOf,
} from '../measure/process-memory.ts';
import { medianOf } from '../measure/samples.ts';
import { atMost, type Figure, type Outcome, single } from '../outcome.ts';
import { type Bench, PartMissing, type Subject, skipped } from '../subject.ts';
import { RuntimeBench } from './runtime-bench.ts';

/**
 * S11: what a warm sandbox costs while nobody has it: the guest's size on disk, the private memory of each process that
 * is there because of the sandbox, what its control group is charged, and what the host has less of.
 */
export const idleCost: Subject = { id: 'S11', run };

const sandboxes = 20;
/** Filled and emptied so often: what the host has less of is the median, because others use its memory, too. */
const cycles = 5;
/** Until what starting left behind (freed pages, queued clean-up) has settled. */
const settleMs = 1_500;
/** Its name differs by how the runtime starts it. */
const guestPattern = /guest/;

async function run(bench: Bench): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const name of bench.options.runtimes) {
    try {
      outcomes.push(await measure(bench, name));
    } catch (error) {
      if (!(error instanceof PartMissing)) throw error;
      outcomes.push(skipped('S11', name, error.message));
    }
  }
  return outcomes;
}

async function measure(bench: Bench, name: 'bubblewrap' | 'docker'): Promise<Outcome> {
  const started = new ClosingStack();
  try {
    const runtime = started.use(await RuntimeBench.start(name));
    // The first one pays for what all share (the prepared image, the engine's caches).
    await bootIdle(runtime);
    const changes: HostMemory[] = [];
    const costs: Cost[] = [];
    let before = await settledMemory();
    for (let cycle = 1; cycle <= cycles; cycle += 1) {
      bench.progress(`S11 on ${name}: ${sandboxes} idle sandboxes, ${cycle} of ${cycles}`);
      const ids: string[] = [];
      for (let index = 0; index < sandboxes; index += 1) {
        bench.signal.throwIfAborted();
        ids.push(await bootIdle(runtime));
      }
      const full = await settledMemory();
      costs.push(...(await Promise.all(ids.map((id) => costOf(runtime, id)))));
      for (const id of ids) await runtime.runtime.destroy(id);
      const after = await settledMemory();
      changes.push(changeBetween(before, full), changeBetween(after, full));
      before = after;
    }
    const host = {
      availableKb: medianOf(changes.map(({ availableKb }) => availableKb)),
      kernelKb: medianOf(changes.map(({ kernelKb }) => kernelKb)),
    };
    return outcomeOf(name, costs, host);
  } finally {
    await started[Symbol.asyncDispose]();
  }
}

/** As a pool has it: linked, its readiness check run, and idle since. */
async function bootIdle(runtime: RuntimeBench): Promise<string> {
  const { id, transport } = await runtime.boot();
  const link = await openLink(transport, false);
  const { exit } = await runCommand(link, ['true']);
  if (exit.exitCode !== 0) throw new Error('the readiness check failed');
  return id;
}

async function settledMemory(): Promise<HostMemory> {
  await delay(settleMs);
  return hostMemory();
}

/** For each sandbox. */
function changeBetween(empty: HostMemory, full: HostMemory): HostMemory {
  return {
    availableKb: (empty.availableKb - full.availableKb) / sandboxes,
    kernelKb: (full.kernelKb - empty.kernelKb) / sandboxes,
  };
}

interface Cost {
  readonly processes: readonly ProcessMemory[];
  readonly groupKb: number | null;
}

async function costOf(runtime: RuntimeBench, sandboxId: string): Promise<Cost> {
  const pids = await processesOf(runtime, sandboxId);
  const processes = pids.map(memoryOf);
  const guest = processes.find(({ command }) => guestPattern.test(command));
  if (!guest) throw new Error(`no guest among ${JSON.stringify(processes)} of ${sandboxId}`);
  return { processes, groupKb: groupMemoryKb(guest.pid) };
}

/** Those that are there because of this sandbox: bubblewrap's watcher, or the engine's shim, and the guest. */
async function processesOf(runtime: RuntimeBench, sandboxId: string): Promise<readonly number[]> {
  if (runtime.dockerHost === null) {
    return (groupFileOf(sandboxId, 'cgroup.procs') ?? '').split('\n').filter(Boolean).map(Number);
  }
  const container = clientOf(runtime.dockerHost).getContainer(containerName(sandboxId));
  const { Pid } = (await container.inspect()).State;
  return [parentOf(Pid), Pid];
}

function outcomeOf(name: string, costs: readonly Cost[], host: HostMemory): Outcome {
  const commands = [...new Set(costs.flatMap(({ processes }) => processes.map(({ command }) => command)))];
  const privateKbOf = (command: string) =>
    medianOf(
      costs.flatMap(({ processes }) =>
        processes.filter((each) => each.command === command).map(({ privateKb }) => privateKb),
      ),
    );
  const guestKb = Math.max(
    ...costs.flatMap(({ processes }) =>
      processes.filter(({ command }) => guestPattern.test(command)).map((each) => each.privateKb),
    ),
  );
  const groups = costs.map(({ groupKb }) => groupKb).filter((kb) => kb !== null);
  const guestFileKb = statSync(guestPath).size / 1_024;
  const all = medianOf(
    costs.map(({ processes }) => processes.reduce((sum, each) => sum + each.privateKb, 0)),
  );
  const figures: Figure[] = [
    single('guest binary on disk', guestFileKb, 'KB'),
    ...commands.map((command) => single(`private memory of ${command}, ${name}`, privateKbOf(command), 'KB')),
    single(`private memory of all its processes, ${name}`, all, 'KB'),
    ...(groups.length > 0 ? [single(`charged to its control group, ${name}`, medianOf(groups), 'KB')] : []),
    single(`kernel memory for each sandbox, ${name}`, host.kernelKb, 'KB'),
    single(`whole cost, processes and kernel, ${name}`, all + host.kernelKb, 'KB'),
    single(`less MemAvailable for each sandbox, ${name}`, host.availableKb, 'KB'),
  ];
  return {
    kind: 'measured',
    subject: 'S11',
    on: name,
    figures,
    gates: [
      atMost('guest ≤ 1 MB of private memory', guestKb, 1_024, `largest of ${costs.length}: ${guestKb} KB`),
      atMost('guest under 100 KB on disk', guestFileKb, 100, `${guestFileKb.toFixed(1)} KB`),
    ],
    notes: [
      `Medians over ${costs.length} idle sandboxes. Kernel memory (slab, stacks, page tables) and MemAvailable are the whole machine’s: medians of ${2 * cycles} changes by ${sandboxes} sandboxes each, and still blurred by what others did.`,
    ],
  };
}

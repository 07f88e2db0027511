import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Docker from 'dockerode';
import type { ServiceFolder } from './service.ts';
import { until } from './until.ts';

/**
 * What a service has on this host right now: the mounts below its folder, the processes and control groups that carry
 * its node id, and its containers. Read from the kernel and the engine, not from the service.
 */
export async function tracesOf(folder: ServiceFolder, dockerHost: string | null = null): Promise<string[]> {
  const traces: string[] = [];
  const group = bubblewrapGroup(folder);
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    if (line.includes(folder.path)) traces.push(`mount ${line}`);
  }
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const groups = readQuietly(`/proc/${pid}/cgroup`);
    const state = / \(.*\) (\S)/.exec(readQuietly(`/proc/${pid}/stat`))?.[1];
    if (groups.includes(group) && state !== 'Z') {
      traces.push(`process ${pid} ${readQuietly(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`);
    }
  }
  traces.push(...groupsOf('/sys/fs/cgroup', group));
  if (dockerHost !== null) {
    for (const container of await containersOf(engineAt(dockerHost), folder)) {
      traces.push(`container ${container.Names.join()} ${container.State}`);
    }
  }
  return traces;
}

/** Ends every sandbox of a service, or that one, behind its back, as the kernel or an operator might. */
export async function killFromOutside(
  folder: ServiceFolder,
  dockerHost: string | null,
  sandboxId = '',
): Promise<void> {
  if (dockerHost === null) {
    for (const trace of await tracesOf(folder)) {
      const pid = /^process (\d+)/.exec(trace)?.[1];
      if (pid !== undefined && readQuietly(`/proc/${pid}/cgroup`).includes(sandboxId)) kill(Number(pid));
    }
    return;
  }
  const engine = engineAt(dockerHost);
  for (const { Id, Names } of await containersOf(engine, folder)) {
    if (Names.join().includes(sandboxId)) await killContainer(engine, Id);
  }
}

async function killContainer(engine: ReturnType<typeof engineAt>, id: string): Promise<void> {
  try {
    await engine.getContainer(id).kill();
  } catch (error) {
    // It has ended since it was listed, or has not begun yet.
    if (!hasNothingToKill.has(Number(Object(error).statusCode))) throw error;
  }
}

const hasNothingToKill: ReadonlySet<number> = new Set([404, 409]);

/** Looks until there is no trace left, or gives up with what there is (I6). */
export async function untilNoTraces(folder: ServiceFolder, dockerHost: string | null = null): Promise<void> {
  let traces: readonly string[] = [];
  await until(
    async () => {
      traces = await tracesOf(folder, dockerHost);
      return traces.length === 0;
    },
    () => `left behind:\n${traces.join('\n')}`,
  );
}

/** What an earlier kill took with it is gone already. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

function engineAt(dockerHost: string): Docker {
  return new Docker({ host: '', socketPath: dockerHost.slice('unix://'.length) });
}

function containersOf(engine: Docker, folder: ServiceFolder) {
  return engine.listContainers({ all: true, filters: { label: [`warmpool.node=${folder.nodeId}`] } });
}

/** The control group under which the bubblewrap runtime keeps this node's sandboxes. */
function bubblewrapGroup(folder: ServiceFolder): string {
  return createHash('sha256').update(`${folder.state}\0${folder.nodeId}`).digest('hex').slice(0, 16);
}

function groupsOf(folder: string, group: string): string[] {
  const found: string[] = [];
  for (const name of listQuietly(folder)) {
    const path = join(folder, name);
    if (name === group) found.push(...sandboxGroups(path));
    else if (path.split('/').length < 8) found.push(...groupsOf(path, group));
  }
  return found;
}

/** The node's own group may stay; a sandbox's must not. */
function sandboxGroups(nodeGroup: string): string[] {
  return listQuietly(nodeGroup).map((name) => `cgroup ${join(nodeGroup, name)}`);
}

function listQuietly(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

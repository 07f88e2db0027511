import { execFile } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/package-root.ts';

/** Where a result comes from: without it a figure says nothing. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly node: string;
  /** null: not installed. */
  readonly redis: string | null;
  readonly docker: string | null;
  readonly runc: string | null;
  readonly bubblewrap: string | null;
  readonly commit: string;
  /** The tree had changes that are not in the commit. */
  readonly changed: boolean;
  /** Over the last minute, before the first measurement: how busy others kept the machine. */
  readonly loadBefore: number;
}

export async function describeMachine(): Promise<Machine> {
  const [redis, docker, runc, bubblewrap, commit, changes] = await Promise.all([
    versionOf('redis-server', ['--version'], /v=(\S+)/),
    versionOf('dockerd', ['--version'], /version ([^,\s]+)/),
    versionOf('runc', ['--version'], /version (\S+)/),
    versionOf('bwrap', ['--version'], /(\d\S*)/),
    versionOf('git', ['rev-parse', '--short', 'HEAD'], /(\S+)/),
    versionOf('git', ['status', '--porcelain', 'src', 'guest', 'protocol', 'bench'], /([\s\S]+)/),
  ]);
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    redis,
    docker,
    runc,
    bubblewrap,
    commit: commit ?? 'unknown',
    changed: changes !== null,
    loadBefore: loadavg()[0] ?? 0,
  };
}

export function machineSentence(machine: Machine): string {
  const { cpu, cores, memoryGb, kernel, node, redis, docker, runc, bubblewrap, commit, changed } = machine;
  const parts = { redis, docker, runc, bubblewrap };
  const versions = Object.entries(parts).map(([name, version]) => `${name} ${version ?? 'absent'}`);
  return (
    `${cpu}, ${cores} cores, ${memoryGb} GB, Linux ${kernel}, node ${node}, ${versions.join(', ')}; ` +
    `commit ${commit}${changed ? ' with changes' : ''}, load before ${machine.loadBefore.toFixed(2)}`
  );
}

async function versionOf(program: string, argv: readonly string[], pattern: RegExp): Promise<string | null> {
  try {
    const env = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` };
    const { stdout } = await promisify(execFile)(program, [...argv], { cwd: packageRoot(), env });
    return pattern.exec(stdout)?.[1] ?? null;
  } catch {
    return null;
  }
}

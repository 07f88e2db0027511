import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, existsSync, openSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

export { baseImage, ensureBaseImage, ensureTinyImage, tinyImage } from './docker-images.ts';

/**
 * A Docker engine for tests, beside any other: its own socket, data root, exec root and configuration, no bridge, no
 * firewall rules. Owns one folder under the temporary directory, the dockerd started from it and, through dockerd, a
 * containerd and its shims. `stop` leaves none of them; what an earlier run left that was killed is removed at start.
 */
export class PrivateDockerEngine implements AsyncDisposable {
  readonly dockerHost: string;
  readonly #folder: string;
  #dockerd: ChildProcess | null = null;

  private constructor(folder: string) {
    this.#folder = folder;
    this.dockerHost = `unix://${join(folder, 'd.sock')}`;
  }

  static async start(): Promise<PrivateDockerEngine> {
    const missing = privateEngineMissing();
    if (missing !== null) throw new Error(missing);
    await removeAbandonedEngines();
    const engine = new PrivateDockerEngine(await mkdtemp(join(tmpdir(), `${folderPrefix}${process.pid}-`)));
    await writeFile(join(engine.#folder, 'daemon.json'), JSON.stringify(daemonConfig()));
    try {
      await engine.startAgain();
    } catch (error) {
      await engine.stop();
      throw error;
    }
    return engine;
  }

  /** Starts dockerd on the engine's data: the first time, or after `crash`. */
  async startAgain(): Promise<void> {
    const path = (name: string): string => join(this.#folder, name);
    const log = openSync(path('dockerd.log'), 'a');
    const dockerd = spawn(
      'dockerd',
      [
        ...[
          '--config-file',
          path('daemon.json'),
          '--host',
          this.dockerHost,
          '--pidfile',
          path('dockerd.pid'),
        ],
        ...['--data-root', path('data'), '--exec-root', path('exec')],
      ],
      { stdio: ['ignore', log, log], env: { ...withAdminPath(), TMPDIR: this.#folder } },
    );
    closeSync(log);
    this.#dockerd = dockerd;
    process.once('exit', () => dockerd.kill('SIGTERM'));
    const deadline = performance.now() + startMsMax;
    while (!(await answersPing(this.dockerHost))) {
      if (dockerd.exitCode !== null || dockerd.signalCode !== null || performance.now() > deadline) {
        const logText = await readFile(path('dockerd.log'), 'utf8');
        throw new Error(`dockerd did not come up; its last words:\n${logText.slice(-2_000)}`);
      }
      await delay(pollMs);
    }
  }

  /** SIGKILL, as a crash or the kernel's memory killer would: containerd follows it, containers live on. */
  async crash(): Promise<void> {
    const containerd = await readFile(join(this.#folder, 'exec/containerd/containerd.pid'), 'utf8');
    await this.#end('SIGKILL');
    // A dockerd that finds the old containerd still ending waits for it in vain.
    while (existsSync(`/proc/${containerd.trim()}`)) await delay(pollMs);
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    await removeEngineFolder(this.#folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const dockerd = this.#dockerd;
    this.#dockerd = null;
    if (dockerd === null || dockerd.exitCode !== null || dockerd.signalCode !== null) return;
    const exited = once(dockerd, 'exit');
    dockerd.kill(signal);
    const timer = setTimeout(() => dockerd.kill('SIGKILL'), stopMsMax);
    await exited;
    clearTimeout(timer);
  }
}

/** An engine to use in a test: the runner's (WARMPOOL_TEST_DOCKER_HOST), or else a private one that ends with it. */
export interface TestEngine extends AsyncDisposable {
  readonly dockerHost: string;
}

export async function useDockerEngine(): Promise<TestEngine> {
  const shared = process.env.WARMPOOL_TEST_DOCKER_HOST;
  if (shared === undefined || shared === '') return await PrivateDockerEngine.start();
  return { dockerHost: shared, [Symbol.asyncDispose]: async () => undefined };
}

/** Why no test with Docker can run here; null when one can. */
export function dockerEngineMissing(): string | null {
  const { WARMPOOL_TEST_DOCKER_HOST: shared, WARMPOOL_TEST_DOCKER_MISSING: why } = process.env;
  if (shared !== undefined && shared !== '') return null;
  // The runner tried already, once for all files.
  return why !== undefined && why !== '' ? why : privateEngineMissing();
}

/** Why no private engine can be started here; null when one can. */
export function privateEngineMissing(): string | null {
  if (process.getuid?.() !== 0) return 'a private Docker engine needs root';
  const programs = ['dockerd', 'containerd', 'runc'].filter((program) => findProgram(program) === null);
  return programs.length === 0 ? null : `${programs.join(', ')} not found: apt-get install docker.io`;
}

export function findProgram(name: string): string | null {
  for (const folder of (withAdminPath().PATH ?? '').split(delimiter)) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

function daemonConfig(): Record<string, unknown> {
  const runsc = findProgram('runsc');
  const runtimeArgs = ['--platform=ptrace', '--network=none', '--ignore-cgroups'];
  return {
    bridge: 'none',
    iptables: false,
    'ip-forward': false,
    experimental: true,
    ...(runsc === null ? {} : { runtimes: { runsc: { path: runsc, runtimeArgs } } }),
  };
}

function withAdminPath(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` };
}

async function answersPing(dockerHost: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const ping = request({ socketPath: dockerHost.slice('unix://'.length), path: '/_ping', timeout: 2_000 });
    ping.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200));
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}

/** Ends whatever still runs out of an engine's folder, unmounts what it mounted, and removes it. */
async function removeEngineFolder(folder: string): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const deadline = performance.now() + stopMsMax;
    let pids = await engineProcesses(folder);
    for (const pid of pids) kill(pid, signal);
    while (pids.length > 0 && performance.now() < deadline) {
      await delay(pollMs);
      pids = await engineProcesses(folder);
    }
    if (pids.length === 0) break;
  }
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  const inside = mounts
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mountPoint) => mountPoint.startsWith(`${folder}/`));
  for (const mountPoint of inside.reverse()) await promisify(execFile)('umount', ['-l', mountPoint]);
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

/** dockerd, containerd, shims and containers of one engine: a sandbox's own processes hang below its shim. */
async function engineProcesses(folder: string): Promise<readonly number[]> {
  const children = new Map<number, number[]>();
  const found = new Set<number>();
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const commandLine = await readFile(`/proc/${entry}/cmdline`, 'utf8');
      const parent = Number(/^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${entry}/status`, 'utf8'))?.[1]);
      children.set(parent, [...(children.get(parent) ?? []), pid]);
      if (commandLine.includes(`${folder}/`)) found.add(pid);
    } catch {
      // It ended while we looked.
    }
  }
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child);
  return [...found];
}

/** The folder's name carries the pid of the test process that owns it. */
async function removeAbandonedEngines(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const owner = new RegExp(`^${folderPrefix}(\\d+)-`).exec(name)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) await removeEngineFolder(join(tmpdir(), name));
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}

const folderPrefix = 'warmpool-dockerd-';
const startMsMax = 60_000;
const stopMsMax = 30_000;
const pollMs = 20;

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { SystemClock } from '../../src/domain/clock.ts';
import { type ErrorCode, isWarmpoolError } from '../../src/domain/errors.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import type { Resources, TemplateSpec } from '../../src/domain/pool-spec.ts';
import type { Guest, ProcessExit } from '../../src/guest-link/guest.ts';
import { GuestLink } from '../../src/guest-link/guest-link.ts';
import { packageRoot } from '../../src/package-root.ts';
import { containerName } from '../../src/runtime/docker/container-options.ts';
import { DockerRuntime } from '../../src/runtime/docker/docker-runtime.ts';
import type { BootRequest } from '../../src/runtime/sandbox-runtime.ts';
import { baseImage, clientOf, ensureBaseImage } from './docker-images.ts';

export const guestPath = join(packageRoot(), 'guest/build/warmpool-guest');

export interface RunningSandbox {
  readonly id: string;
  readonly link: GuestLink;
}

export interface CommandResult {
  readonly exit: ProcessExit;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A DockerRuntime on a test's engine under a node id of its own, so that tests on one engine do not see each other.
 * Disposing destroys all its sandboxes.
 */
export class DockerSandboxes implements AsyncDisposable {
  readonly runtime: DockerRuntime;
  readonly docker: ReturnType<typeof clientOf>;
  readonly nodeId: string;
  readonly warnings: string[] = [];
  readonly #dockerHost: string;

  constructor(dockerHost: string, nodeId = `test-${randomBytes(6).toString('hex')}`) {
    this.#dockerHost = dockerHost;
    this.nodeId = nodeId;
    this.runtime = this.newRuntime();
    this.docker = clientOf(dockerHost);
  }

  static async onBaseImage(dockerHost: string): Promise<DockerSandboxes> {
    await ensureBaseImage(dockerHost);
    const sandboxes = new DockerSandboxes(dockerHost);
    await sandboxes.runtime.prepare(template());
    return sandboxes;
  }

  /** As another process of the same node would have it. */
  newRuntime(guest = guestPath): DockerRuntime {
    const deps = { clock: new SystemClock(), warn: (sentence: string) => void this.warnings.push(sentence) };
    return new DockerRuntime(deps, { dockerHost: this.#dockerHost, nodeId: this.nodeId, guestPath: guest });
  }

  async boot(spec: TemplateSpec = template(), id = newSandboxId(0)): Promise<RunningSandbox> {
    const { transport, resync } = await this.runtime.boot(
      bootRequest(spec, id),
      AbortSignal.timeout(bootMsMax),
    );
    return { id, link: await openLink(transport, resync) };
  }

  container(id: string) {
    return this.docker.getContainer(containerName(id));
  }

  async volumeNames(): Promise<readonly string[]> {
    return ((await this.docker.listVolumes()).Volumes ?? []).map(({ Name }) => Name);
  }

  /** Removes an image and what was prepared from it. */
  async removeImage(image: string): Promise<void> {
    const { Id } = await this.docker.getImage(image).inspect();
    const prepared = await this.docker.listImages({ filters: { reference: ['warmpool/prepared'] } });
    for (const child of prepared.filter(({ ParentId }) => ParentId === Id)) {
      await this.docker.getImage(child.Id).remove({ force: true });
    }
    // One that lost its name went with its last child.
    const [left] = await this.docker.listImages({ all: true, filters: { reference: [image] } });
    if (left !== undefined) await this.docker.getImage(image).remove({ force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { sandboxId } of await this.runtime.list()) await this.runtime.destroy(sandboxId);
    await this.runtime[Symbol.asyncDispose]();
  }
}

export function template(
  changes: Partial<Omit<TemplateSpec, 'resources'>> & { readonly resources?: Partial<Resources> } = {},
): TemplateSpec {
  return {
    image: baseImage,
    rootfs: '',
    runtime: 'docker',
    ociRuntime: '',
    user: 'user',
    cwd: '/home/user',
    env: {},
    warmup: [],
    ready: { exec: ['true'] },
    bootTimeoutMs: bootMsMax,
    ...changes,
    resources: { cpu: 1, memoryMb: 256, diskMb: 256, pids: 64, ...changes.resources },
  };
}

export function bootRequest(spec: TemplateSpec = template(), sandboxId = newSandboxId(0)): BootRequest {
  return { sandboxId, pool: 'test', storeId: 'store-1', template: spec };
}

/** For `assert.rejects`. */
export function hasCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => isWarmpoolError(error) && error.code === code;
}

export async function openLink(
  transport: Parameters<typeof GuestLink.open>[0],
  resync: boolean,
): Promise<GuestLink> {
  return await GuestLink.open(transport, { clock: new SystemClock(), resync, openTimeoutMs: linkMsMax });
}

export interface CommandOptions {
  readonly user?: string;
  readonly cwd?: string;
  readonly stdin?: string | Uint8Array;
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a command to its end and gathers what it wrote. */
export async function run(
  guest: Guest,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const released: { release: (byteCount: number) => void; early: number } = {
    release: (byteCount) => {
      released.early += byteCount;
    },
    early: 0,
  };
  const process = await guest.spawn(
    {
      argv,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', ...options.env },
      cwd: options.cwd ?? '/',
      user: options.user ?? 'user',
      stdin: options.stdin !== undefined,
      timeoutMs: options.timeoutMs ?? commandMsMax,
    },
    {
      onOutput: (stream, bytes) => {
        chunks[stream].push(bytes);
        released.release(bytes.length);
      },
    },
  );
  released.release = (byteCount) => process.release(byteCount);
  if (released.early > 0) process.release(released.early);
  if (options.stdin !== undefined) {
    await process.writeStdin(Buffer.from(options.stdin));
    process.endStdin();
  }
  const exit = await process.exited;
  return {
    exit,
    stdout: Buffer.concat(chunks.stdout).toString(),
    stderr: Buffer.concat(chunks.stderr).toString(),
  };
}

/** Puts a program where every user of the sandbox may run it, and gives its path there. */
export async function putProgram(guest: Guest, name: string, program: Uint8Array): Promise<string> {
  const path = `/tmp/${name}`;
  await shell(guest, `cat > ${path} && chmod 755 ${path}`, { stdin: program });
  return path;
}

/** As `run` with a shell of the base image; gives stdout, and throws when the script fails. */
export async function shell(guest: Guest, script: string, options: CommandOptions = {}): Promise<string> {
  const { exit, stdout, stderr } = await run(guest, ['bash', '-c', script], options);
  if (exit.exitCode !== 0) throw new Error(`${script}: ${JSON.stringify(exit)}\n${stdout}${stderr}`);
  return stdout;
}

const bootMsMax = 60_000;
const linkMsMax = 60_000;
const commandMsMax = 60_000;

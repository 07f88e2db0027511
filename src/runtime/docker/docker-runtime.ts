import { access } from 'node:fs/promises';
import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { Clock } from '../../domain/clock.ts';
import { WarmpoolError } from '../../domain/errors.ts';
import type { TemplateSpec } from '../../domain/pool-spec.ts';
import { failpoint } from '../../failpoints.ts';
import type {
  BootedSandbox,
  BootRequest,
  HostReport,
  RuntimeObject,
  SandboxRuntime,
} from '../sandbox-runtime.ts';
import { AttachTransport } from './attach-transport.ts';
import { containerName, containerOptions, labels } from './container-options.ts';
import { planDisk } from './disk-layout.ts';
import { connectToEngine, type EngineConnection } from './engine-connection.ts';
import { classifyEngineError, engineStatus } from './engine-errors.ts';
import { type EngineInfo, reportHost } from './host-report.ts';
import { ImagePreparer, type PreparedImage, writablePlaces } from './prepared-image.ts';
import { StartGate } from './start-gate.ts';

export interface DockerRuntimeDeps {
  readonly clock: Clock;
  /** Takes one sentence about something that went wrong without failing a call. */
  readonly warn: (sentence: string) => void;
}

export interface DockerRuntimeOptions {
  /** `unix:///path` or `tcp://host:port`; null is the default socket. */
  readonly dockerHost: string | null;
  /** Client certificates for a remote engine. Default: none, so none can be used. */
  readonly certFolder?: string | null;
  readonly nodeId: string;
  /** The guest agent's binary on this host. */
  readonly guestPath: string;
  /** Container starts at the same time. Default 4: more of them slow each other down. */
  readonly startsInFlightMax?: number;
}

/**
 * Sandboxes as containers of one Docker engine. A container's name carries the sandbox's id and is the first thing
 * made and the last thing removed (D14); its labels say whose it is. The container is `created` (named, nothing runs),
 * attached, then `running`; attaching comes first so that no byte of the guest is lost. It outlives this process, which
 * only ever detaches (D16): ending one is `destroy` alone.
 *
 * All traffic goes over the attached stdin and stdout of the guest. `docker exec` and the archive calls on a running
 * container were turned down: 37 ms each, serialised by the engine, and open to races with what runs inside (K10).
 *
 * The engine may go away and come back at any time. Nothing here remembers that: a call without an answer is
 * RUNTIME_UNAVAILABLE, and the next call opens a new connection.
 */
export class DockerRuntime implements SandboxRuntime {
  readonly name = 'docker';
  readonly survivesNode = true;
  readonly #clock: Clock;
  readonly #warn: (sentence: string) => void;
  readonly #nodeId: string;
  readonly #guestPath: string;
  readonly #engine: EngineConnection;
  readonly #docker: Docker;
  readonly #images: ImagePreparer;
  readonly #starts: StartGate;
  readonly #transports = new Set<AttachTransport>();
  #hostCores: number | null = null;

  constructor(deps: DockerRuntimeDeps, options: DockerRuntimeOptions) {
    this.#clock = deps.clock;
    this.#warn = deps.warn;
    this.#nodeId = options.nodeId;
    this.#guestPath = options.guestPath;
    this.#engine = connectToEngine({
      dockerHost: options.dockerHost,
      certFolder: options.certFolder ?? null,
    });
    this.#docker = this.#engine.docker;
    this.#images = new ImagePreparer(this.#docker, options.guestPath);
    this.#starts = new StartGate(options.startsInFlightMax ?? 4);
  }

  async inspectHost(): Promise<HostReport> {
    try {
      await access(this.#guestPath);
    } catch {
      return {
        usable: false,
        reason: `the guest agent is not at ${this.#guestPath}: run node guest/build.mjs`,
      };
    }
    try {
      await this.#ping();
      const [version, info] = await Promise.all([this.#docker.version(), this.#info()]);
      return reportHost(version, info);
    } catch (error) {
      return {
        usable: false,
        reason: classifyEngineError(error, 'asking for its version', 'INTERNAL').message,
      };
    }
  }

  async prepare(template: TemplateSpec): Promise<void> {
    await this.#assertRuntimeKnown(template.ociRuntime);
    await this.#images.prepare(template.image);
  }

  async boot(request: BootRequest, signal: AbortSignal): Promise<BootedSandbox> {
    let mayExist = false;
    try {
      signal.throwIfAborted();
      let prepared = await this.#images.latest(request.template.image);
      const leave = await this.#starts.enter(signal);
      try {
        mayExist = true;
        if (!(await this.#create(request, prepared))) {
          // The prepared image was removed behind our back, by a prune for example.
          prepared = await this.#images.prepare(request.template.image);
          if (!(await this.#create(request, prepared))) throw new Error('the prepared image vanished again');
        }
        failpoint('cgroup');
        signal.throwIfAborted();
        return await this.#attachAndStart(request.sandboxId, signal);
      } finally {
        leave();
      }
    } catch (error) {
      if (mayExist) await this.#destroyFailedBoot(request.sandboxId);
      if (signal.aborted)
        throw new WarmpoolError('CANCELLED', 'docker: the boot was aborted', {}, { cause: error });
      throw classifyEngineError(error, `booting sandbox ${request.sandboxId}`, 'BOOT_FAILED');
    }
  }

  async adopt(sandboxId: string): Promise<BootedSandbox> {
    const container = this.#container(sandboxId);
    try {
      const { State } = await container.inspect();
      if (!State.Running) {
        throw new WarmpoolError(
          'SANDBOX_FAILED',
          `docker: container of ${sandboxId} is ${State.Status}, not running`,
        );
      }
      return { transport: await this.#attach(container), resync: true };
    } catch (error) {
      throw classifyEngineError(error, `attaching to sandbox ${sandboxId}`, 'SANDBOX_FAILED');
    }
  }

  async list(): Promise<readonly RuntimeObject[]> {
    try {
      const [containers, nowMs] = await Promise.all([
        this.#docker.listContainers({ all: true, filters: { label: [`${labels.node}=${this.#nodeId}`] } }),
        this.#engineTimeMs(),
      ]);
      return containers.flatMap((container) => {
        const sandboxId = container.Labels[labels.sandbox];
        if (sandboxId === undefined) return [];
        return {
          sandboxId,
          storeId: container.Labels[labels.store] ?? null,
          running: container.State === 'running' || container.State === 'paused',
          leftOver: false,
          ageMs: Math.max(0, nowMs - container.Created * 1_000),
        };
      });
    } catch (error) {
      throw classifyEngineError(error, 'listing containers', 'INTERNAL');
    }
  }

  async destroy(sandboxId: string): Promise<void> {
    const container = this.#container(sandboxId);
    let lastError: unknown = new Error('the container is still there');
    for (let attempt = 0; attempt < removeAttemptsMax; attempt += 1) {
      // Not the clock's timer: that one does not keep the process alive, and a removal under way must.
      if (attempt > 0) await pause(removePauseMs * attempt);
      try {
        await container.remove({ force: true, v: true });
        failpoint('unmount');
      } catch (error) {
        const status = engineStatus(error);
        if (status === 404) return;
        // 409: being removed already. 500: the kernel still holds a mount or a process of it. Both pass.
        if (status !== 409 && status !== 500)
          throw classifyEngineError(error, `removing ${sandboxId}`, 'INTERNAL');
        lastError = error;
      }
      if (await this.#isGone(container)) return;
    }
    throw classifyEngineError(lastError, `removing sandbox ${sandboxId}`, 'INTERNAL');
  }

  /** Detaches from everything and closes the connections. The containers go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const transport of this.#transports) transport.destroy();
    this.#engine.agent.destroy();
  }

  /**
   * False when the prepared image is not there. A container of this name is an earlier try of the same boot, whose
   * answer was lost: ids are never used twice, so it is dropped and made anew.
   */
  async #create(request: BootRequest, prepared: PreparedImage): Promise<boolean> {
    const options = containerOptions({
      request,
      nodeId: this.#nodeId,
      preparedImage: prepared.reference,
      disk: planDisk(
        prepared.diskMode,
        request.template.resources,
        writablePlaces(prepared, request.template),
      ),
      hostCores: await this.#cores(),
    });
    try {
      await this.#docker.createContainer(options);
      return true;
    } catch (error) {
      if (engineStatus(error) === 404) return false;
      if (engineStatus(error) !== 409) throw error;
    }
    await this.destroy(request.sandboxId);
    await this.#docker.createContainer(options);
    return true;
  }

  async #attachAndStart(sandboxId: string, signal: AbortSignal): Promise<BootedSandbox> {
    const container = this.#container(sandboxId);
    const transport = await this.#attach(container);
    try {
      signal.throwIfAborted();
      failpoint('mount');
      await container.start();
      failpoint('spawn');
      signal.throwIfAborted();
      return { transport, resync: false };
    } catch (error) {
      transport.destroy();
      throw error;
    }
  }

  async #attach(container: Docker.Container): Promise<AttachTransport> {
    const stream = await container.attach({
      stream: true,
      hijack: true,
      stdin: true,
      stdout: true,
      stderr: true,
    });
    if (!(stream instanceof Socket)) {
      throw new WarmpoolError(
        'RUNTIME_UNAVAILABLE',
        'docker: the connection to the engine cannot carry a raw stream',
      );
    }
    const transport = new AttachTransport(stream);
    this.#transports.add(transport);
    transport.once('close', () => this.#transports.delete(transport));
    // An error before the link is opened reaches the link as a closed stream; without a listener it ends the process.
    transport.on('error', () => undefined);
    return transport;
  }

  /** The failure that is reported is the boot's own; what cannot be removed now is found by `list` later (D13). */
  async #destroyFailedBoot(sandboxId: string): Promise<void> {
    try {
      await this.destroy(sandboxId);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      this.#warn(`docker: sandbox ${sandboxId} failed to boot and could not be removed yet: ${said}`);
    }
  }

  async #isGone(container: Docker.Container): Promise<boolean> {
    try {
      await container.inspect();
      return false;
    } catch (error) {
      if (engineStatus(error) === 404) return true;
      throw classifyEngineError(error, 'looking whether a container is gone', 'INTERNAL');
    }
  }

  async #assertRuntimeKnown(ociRuntime: string): Promise<void> {
    if (ociRuntime === '') return;
    let known: readonly string[];
    try {
      known = Object.keys((await this.#info()).Runtimes ?? {});
    } catch (error) {
      throw classifyEngineError(error, 'asking for its runtimes', 'UNSUPPORTED');
    }
    if (known.includes(ociRuntime)) return;
    throw new WarmpoolError(
      'UNSUPPORTED',
      `the engine has no runtime "${ociRuntime}"; it has ${known.join(', ')} (daemon.json, key "runtimes")`,
      { facts: { ociRuntime } },
    );
  }

  async #cores(): Promise<number> {
    this.#hostCores ??= (await this.#info()).NCPU ?? Number.POSITIVE_INFINITY;
    return this.#hostCores;
  }

  /** Ages must not depend on this host's clock when the engine is on another one. */
  async #engineTimeMs(): Promise<number> {
    if (this.#engine.local) return this.#clock.wallMs();
    const { SystemTime } = await this.#info();
    return SystemTime === undefined ? this.#clock.wallMs() : Date.parse(SystemTime);
  }

  async #ping(): Promise<void> {
    // The library's type lacks the options.
    const ping = this.#docker.ping as (options: { abortSignal: AbortSignal }) => Promise<unknown>;
    await ping.call(this.#docker, { abortSignal: AbortSignal.timeout(pingMsMax) });
  }

  async #info(): Promise<EngineInfo> {
    return await this.#docker.info();
  }

  #container(sandboxId: string): Docker.Container {
    return this.#docker.getContainer(containerName(sandboxId));
  }
}

/** An engine that hangs must not hold up the start of the service for as long as a slow call may take. */
const pingMsMax = 5_000;
/** Together 5 s of waiting, beside the 10 s the engine itself waits for a killed process. */
const removeAttemptsMax = 10;
const removePauseMs = 110;

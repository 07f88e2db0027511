import { createHash } from 'node:crypto';
import { rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '../../domain/clock.ts';
import { assertThat, isWarmpoolError, WarmpoolError } from '../../domain/errors.ts';
import type { TemplateSpec } from '../../domain/pool-spec.ts';
import { failpoint } from '../../failpoints.ts';
import { packageRoot } from '../../package-root.ts';
import { codeOf } from '../cgroup/cgroup-files.ts';
import type {
  BootedSandbox,
  BootRequest,
  HostReport,
  RuntimeObject,
  SandboxRuntime,
} from '../sandbox-runtime.ts';
import { BwrapProcess } from './bwrap-process.ts';
import { allSettledOrThrow, type Held, HostHoldings } from './host-holdings.ts';
import { type BubblewrapHost, type HostInspection, inspectBubblewrapHost } from './host-inspection.ts';
import { HostUids } from './host-uids.ts';
import { TemplatePreparer } from './prepared-template.ts';
import { isSandboxName, SandboxFolders } from './sandbox-folders.ts';

export interface BubblewrapRuntimeDeps {
  readonly clock: Clock;
  /** Takes one sentence about something that went wrong without failing a call. */
  readonly warn: (sentence: string) => void;
}

export interface BubblewrapRuntimeOptions {
  readonly stateFolder: string;
  readonly nodeId: string;
  /** The guest agent's binary on this host. */
  readonly guestPath: string;
  /** Where bwrap is looked for. Default: where distributions put it. */
  readonly bwrapPaths?: readonly string[];
}

/** A sandbox this process boots or has booted. */
interface LiveSandbox extends Held {
  readonly abort: AbortController;
  process: BwrapProcess | null;
  /** Killing its control group, or else its outer process, is the end of all of it: no search for strays is needed. */
  contained: boolean;
  running: boolean;
  /** Settles with the boot's own steps; the clean-up after a failure is not part of it. */
  steps: Promise<unknown>;
}

/**
 * Sandboxes as processes in namespaces of their own, made by bubblewrap without any daemon. What one consists of, in the
 * order it is made; it is taken apart in the opposite order:
 *
 *   folder, host uid, control group (HostHoldings) ─▶ processes, held back (BwrapProcess) ─▶ released
 *
 * Mounts, hosts' files and network are inside the namespaces and end with the processes. A sandbox ends with this process
 * (`survivesNode` is false, D16): its stdin and stdout are the link and cannot be opened again. Everything that an earlier
 * process of the same state folder left is dead weight; `list` finds it and `destroy` removes it.
 *
 * HARDENING.md, section 4, has the rows (B1 … B16) and their reasons.
 */
export class BubblewrapRuntime implements SandboxRuntime {
  readonly name = 'bubblewrap';
  readonly survivesNode = false;
  readonly #clock: Clock;
  readonly #warn: (sentence: string) => void;
  readonly #options: BubblewrapRuntimeOptions;
  readonly #folder: string;
  readonly #nodeKey: string;
  readonly #folders: SandboxFolders;
  readonly #templates: TemplatePreparer;
  readonly #sandboxes = new Map<string, LiveSandbox>();
  readonly #removals = new Map<string, Promise<void>>();
  readonly #startedAtMs: number;
  #inspection: Promise<HostInspection> | null = null;
  #holdings: HostHoldings | null = null;

  constructor(deps: BubblewrapRuntimeDeps, options: BubblewrapRuntimeOptions) {
    this.#clock = deps.clock;
    this.#warn = deps.warn;
    this.#options = options;
    this.#folder = join(options.stateFolder, 'bubblewrap');
    this.#nodeKey = createHash('sha256')
      .update(`${options.stateFolder}\0${options.nodeId}`)
      .digest('hex')
      .slice(0, 16);
    this.#folders = new SandboxFolders(join(this.#folder, 'sandboxes'));
    this.#templates = new TemplatePreparer([options.stateFolder, packageRoot()]);
    this.#startedAtMs = deps.clock.wallMs();
  }

  /** Ends with a boot of a throw-away sandbox: only that shows whether this kernel allows all that is needed. */
  async inspectHost(): Promise<HostReport> {
    const inspection = await this.#inspect();
    if (!inspection.usable) return inspection;
    try {
      await this.#removeOldProbes();
      const sandboxId = `${probePrefix}${process.pid}x${this.#clock.wallMs()}`;
      const { transport } = await this.boot(
        { sandboxId, pool: '', storeId: '', template: probeTemplate },
        AbortSignal.timeout(probeMsMax),
      );
      transport.destroy();
      await this.destroy(sandboxId);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      return { usable: false, reason: `a first sandbox could not be booted: ${said}` };
    }
    return { usable: true, versions: inspection.versions, warnings: inspection.warnings };
  }

  async prepare(template: TemplateSpec): Promise<void> {
    await this.#templates.prepare(template, await this.#host());
  }

  async boot(request: BootRequest, signal: AbortSignal): Promise<BootedSandbox> {
    const { sandboxId } = request;
    assertThat(isSandboxName(sandboxId), 'a sandbox id is safe as the name of a folder');
    assertThat(!this.#sandboxes.has(sandboxId), 'a sandbox id is booted once');
    const abort = new AbortController();
    const sandbox: LiveSandbox = {
      abort,
      process: null,
      hostUid: null,
      contained: false,
      running: false,
      steps: Promise.resolve(),
    };
    this.#sandboxes.set(sandboxId, sandbox);
    const steps = this.#bootSteps(request, sandbox, AbortSignal.any([signal, abort.signal]));
    sandbox.steps = steps;
    try {
      return { transport: (await steps).transport, resync: false };
    } catch (error) {
      const wasAborted = signal.aborted || abort.signal.aborted;
      await this.#destroyFailedBoot(sandboxId);
      if (wasAborted)
        throw new WarmpoolError('CANCELLED', 'bubblewrap: the boot was aborted', {}, { cause: error });
      throw asBootError(error);
    }
  }

  async adopt(sandboxId: string): Promise<BootedSandbox> {
    throw new WarmpoolError(
      'UNSUPPORTED',
      `bubblewrap: sandbox ${sandboxId} ended with the process that booted it`,
    );
  }

  async list(): Promise<readonly RuntimeObject[]> {
    const holdings = this.#holdingsOn(await this.#host());
    // One that is let go of while the folders are read is no left-over.
    const own = new Set(this.#sandboxes.keys());
    const found = await holdings.list(this.#startedAtMs);
    const nowMs = this.#clock.wallMs();
    return Promise.all(
      found.map(async (each) => ({
        sandboxId: each.sandboxId,
        storeId: each.note?.storeId ?? null,
        running: this.#sandboxes.get(each.sandboxId)?.running ?? (await holdings.hasProcesses(each)),
        leftOver: !own.has(each.sandboxId) && !this.#sandboxes.has(each.sandboxId),
        ageMs: Math.max(0, nowMs - each.madeAtMs),
      })),
    );
  }

  destroy(sandboxId: string): Promise<void> {
    assertThat(isSandboxName(sandboxId), 'a sandbox id is safe as the name of a folder');
    let removal = this.#removals.get(sandboxId);
    if (removal === undefined) {
      removal = this.#remove(sandboxId).finally(() => this.#removals.delete(sandboxId));
      this.#removals.set(sandboxId, removal);
    }
    return removal;
  }

  /** Ends every sandbox of this process and removes what it made for all of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#sandboxes.keys()].map((sandboxId) => this.destroy(sandboxId)));
    await this.#templates.removeAll();
    const inspection = await this.#inspection;
    if (!inspection?.usable) return;
    const { cgroups, guestPath, reachableFolder } = inspection.host;
    await cgroups.removeFolder();
    await this.#folders.removeFolder();
    await rm(guestPath, { force: true });
    // What an earlier process left keeps them.
    for (const folder of [reachableFolder, this.#folder]) await rmdir(folder).catch(() => undefined);
    if (reachableFolder !== this.#folder) await rmdir(dirname(reachableFolder)).catch(() => undefined);
  }

  /** Of starts that died in the middle of theirs. Where no pool is carried by this runtime, nobody else looks for them. */
  async #removeOldProbes(): Promise<void> {
    for (const { sandboxId } of await this.list())
      if (sandboxId.startsWith(probePrefix)) await this.destroy(sandboxId);
  }

  async #bootSteps(
    { sandboxId, storeId, template }: BootRequest,
    sandbox: LiveSandbox,
    signal: AbortSignal,
  ): Promise<BwrapProcess> {
    signal.throwIfAborted();
    const host = await this.#host();
    const prepared = await this.#templates.prepare(template, host);
    signal.throwIfAborted();
    await this.#holdingsOn(host).make(sandboxId, storeId, template.resources, sandbox);
    signal.throwIfAborted();
    const started = BwrapProcess.start({
      bwrapPath: host.bwrapPath,
      sandboxId,
      argumentsPath: prepared.argumentsPath,
      hostUid: sandbox.hostUid,
    });
    sandbox.process = started;
    failpoint('spawn');
    const kill = () => void started.kill();
    signal.addEventListener('abort', kill, { once: true });
    try {
      await this.#admit(started, sandboxId, host);
      sandbox.contained = host.cgroups.version !== 'none';
      failpoint('mount');
      signal.throwIfAborted();
      await started.release();
      signal.throwIfAborted();
    } finally {
      signal.removeEventListener('abort', kill);
    }
    sandbox.contained = true;
    sandbox.running = true;
    void started.ended.then(() => {
      sandbox.running = false;
    });
    return started;
  }

  /**
   * The outer process first: it may then be that the inner one is born in the group. Should bubblewrap fail meanwhile, its
   * own words say more than a process that is no longer there to be moved.
   */
  async #admit(started: BwrapProcess, sandboxId: string, { cgroups }: BubblewrapHost): Promise<void> {
    const { outerPid } = started;
    const outerAdmitted = outerPid === undefined ? undefined : cgroups.admit(sandboxId, outerPid);
    try {
      const [innerPid] = await allSettledOrThrow([started.innerPid(), outerAdmitted]);
      await allSettledOrThrow([cgroups.admit(sandboxId, innerPid), offerToOomKiller(innerPid)]);
    } catch (error) {
      throw codeOf(error) === 'ESRCH' ? await started.failure() : error;
    }
  }

  async #remove(sandboxId: string): Promise<void> {
    const live = this.#sandboxes.get(sandboxId) ?? null;
    live?.abort.abort();
    await live?.steps.catch(() => undefined);
    await live?.process?.kill();
    const inspection = await this.#inspect();
    // Where nothing can be booted, nothing was ever made.
    if (inspection.usable) {
      const holdings = this.#holdingsOn(inspection.host);
      const strays =
        live === null ? await holdings.exists(sandboxId) : live.process !== null && !live.contained;
      await holdings.release(sandboxId, live, { strays });
    }
    this.#sandboxes.delete(sandboxId);
  }

  /** The failure that is reported is the boot's own; what cannot be removed now is found by `list` later (D13). */
  async #destroyFailedBoot(sandboxId: string): Promise<void> {
    try {
      await this.destroy(sandboxId);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      this.#warn(`bubblewrap: sandbox ${sandboxId} failed to boot and could not be removed yet: ${said}`);
    }
  }

  #holdingsOn({ cgroups, lendsUids }: BubblewrapHost): HostHoldings {
    this.#holdings ??= new HostHoldings({ folders: this.#folders, uids: new HostUids(), cgroups, lendsUids });
    return this.#holdings;
  }

  #inspect(): Promise<HostInspection> {
    this.#inspection ??= inspectBubblewrapHost({
      folder: this.#folder,
      nodeKey: this.#nodeKey,
      guestPath: this.#options.guestPath,
      bwrapPaths: this.#options.bwrapPaths ?? bwrapPathsDefault,
    });
    return this.#inspection;
  }

  async #host(): Promise<BubblewrapHost> {
    const inspection = await this.#inspect();
    if (inspection.usable) return inspection.host;
    throw new WarmpoolError('RUNTIME_UNAVAILABLE', `bubblewrap: ${inspection.reason}`);
  }
}

/**
 * When the whole host is out of memory, sandboxes go before the service does; children inherit it. Nothing depends on it,
 * and a service that is not root may be refused.
 */
async function offerToOomKiller(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/oom_score_adj`, String(oomScoreAdjust), { flag: 'r+' }).catch(
    () => undefined,
  );
}

function asBootError(error: unknown): WarmpoolError {
  if (isWarmpoolError(error)) return error;
  const said = error instanceof Error ? error.message : String(error);
  return new WarmpoolError('BOOT_FAILED', `bubblewrap: ${said}`, {}, { cause: error });
}

/** No sandbox's id begins with it: those begin with the digits of their shard. */
const probePrefix = 'probe';
const bwrapPathsDefault = [
  '/usr/bin/bwrap',
  '/usr/local/bin/bwrap',
  '/bin/bwrap',
  '/run/current-system/sw/bin/bwrap',
];
/** What engines' containers of ours get (HARDENING.md, section 3). */
const oomScoreAdjust = 500;
/** A first boot on a loaded host; longer is no host to run sandboxes on. */
const probeMsMax = 20_000;
const probeTemplate: TemplateSpec = {
  image: '',
  rootfs: 'host',
  runtime: 'bubblewrap',
  ociRuntime: '',
  user: 'user',
  cwd: '/home/user',
  env: {},
  warmup: [],
  ready: { exec: ['true'] },
  resources: { cpu: 1, memoryMb: 64, diskMb: 16, pids: 16 },
  bootTimeoutMs: probeMsMax,
};

import { randomUUID } from 'node:crypto';
import type { AllocatorApi, SandboxSession } from '../../allocator/api.ts';
import { openWhenReady } from '../../data-plane/xgen/xgen-admission.ts';
import { XgenFailure, type XgenVersion, xgenFailureOf } from '../../data-plane/xgen/xgen-failure.ts';
import { xgenCreateKey, xgenRequestKey } from '../../data-plane/xgen/xgen-lifetime.ts';
import { runXgenCommand, writeXgenArtifact } from '../../data-plane/xgen/xgen-run.ts';
import { type Clock, pause } from '../../domain/clock.ts';
import { isWarmpoolError, WarmpoolError } from '../../domain/errors.ts';
import type { SandboxRecord } from '../../domain/sandbox.ts';
import { listPorts } from '../../operations/ports.ts';
import { invalid } from './body-reader.ts';
import { lifetimeSecondsMax, readCreate, type XgenCreate } from './create-request.ts';
import { DeletedFailures } from './deleted-failures.ts';
import { cutOutput, readExec, textOf, truncationMarker } from './exec-request.ts';
import { keptRequest, previewUrl, sandboxView, type XgenPlaces } from './sandbox-view.ts';
import { claimedAt, tenantSandboxes } from './tenant-sandboxes.ts';
import type { XgenAnswer, XgenRequest } from './xgen-app.ts';

export interface SandboxRoutesDeps {
  readonly allocator: AllocatorApi;
  readonly clock: Clock;
  /** A sandbox had to be booted for a create, and runs after so long. */
  readonly booted: (seconds: number) => void;
}

export interface SandboxRoutesOptions {
  /** null: as the caller has reached us. */
  readonly externalUrl: string | null;
  /** null: below `localhost`, at the port by which the caller has reached us. */
  readonly previewDomain: string | null;
}

/** The sandboxes of the caller's tenant, in the shapes of the xgen dialect. */
export class SandboxRoutes {
  readonly #deps: SandboxRoutesDeps;
  readonly #options: SandboxRoutesOptions;
  readonly #deletedFailures: DeletedFailures;

  constructor(deps: SandboxRoutesDeps, options: SandboxRoutesOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#deletedFailures = new DeletedFailures(deps.clock);
  }

  async create(request: XgenRequest): Promise<XgenAnswer> {
    const create = readCreate(request.body, request.version);
    const record = await this.#create(request, create);
    if (request.left.aborted) {
      // Nobody will ever hear of it.
      const gone = new AbortController().signal;
      await this.#deps.allocator.deleteSandbox(request.caller, record.id, gone);
    }
    return {
      status: 201,
      body: sandboxView(record, request.version, this.#places(request)),
      headers: { 'x-warmpool': record.launch === 'warm' ? 'hit' : 'miss' },
      sandboxId: record.id,
    };
  }

  async list(request: XgenRequest): Promise<XgenAnswer> {
    const records = await tenantSandboxes(this.#deps.allocator, request.caller);
    const places = this.#places(request);
    const shown = records.filter(({ id }) => !this.#deletedFailures.has(id));
    return { status: 200, body: shown.map((record) => sandboxView(record, request.version, places)) };
  }

  async get(request: XgenRequest): Promise<XgenAnswer> {
    const record = await this.#find(request);
    return { status: 200, body: sandboxView(record, request.version, this.#places(request)) };
  }

  async remove(request: XgenRequest): Promise<XgenAnswer> {
    const { allocator } = this.#deps;
    // The core takes the same delete twice; here a sandbox that has gone is not there.
    const { state } = await this.#find(request);
    await allocator.deleteSandbox(request.caller, request.sandboxId, request.left);
    if (state === 'failed') this.#deletedFailures.add(request.sandboxId);
    return { status: 204 };
  }

  /** An hour more, at most a day from now, and never less than before. */
  async keepAlive(request: XgenRequest): Promise<XgenAnswer> {
    const { allocator } = this.#deps;
    const { lease } = await this.#find(request);
    const remainingMs = lease?.remainingMs ?? 0;
    const ttlMs = Math.min(remainingMs + keepAliveMs, lifetimeSecondsMax * 1_000);
    await allocator.keepAlive(request.caller, request.sandboxId, ttlMs);
    return { status: 204 };
  }

  async exec(request: XgenRequest): Promise<XgenAnswer> {
    const execId = randomUUID();
    const asked = readExec(request.body, request.version, execId);
    return this.#withSession(request, async (session) => {
      const outcome = await runXgenCommand(session, asked.run, request.left);
      const stdout = cutOutput(outcome.stdout, asked.stdoutMax);
      const stderr = cutOutput(outcome.stderr, asked.stderrMax);
      const body = { exit_code: outcome.exitCode, stdout: stdout.text, stderr: stderr.text };
      const isCut = stdout.isCut || stderr.isCut;
      if (!isCut && asked.stdoutMax === undefined && asked.stderrMax === undefined)
        return { status: 200, body };
      const { command, args } = asked.run;
      if (isCut) {
        const full = { stdout: textOf(outcome.stdout.bytes), stderr: textOf(outcome.stderr.bytes) };
        const artifact = JSON.stringify({ command, args, exit_code: outcome.exitCode, ...full });
        await writeXgenArtifact(session, asked.artifactPath, artifact);
      }
      return {
        status: 200,
        body: {
          ...body,
          truncated: isCut,
          stdout_truncated: stdout.isCut,
          stderr_truncated: stderr.isCut,
          ...(isCut && { truncation_marker: truncationMarker, artifact_path: asked.artifactPath }),
        },
      };
    });
  }

  /** What really listens now, whatever was asked for: nothing where it does not run. Looking wakes nobody. */
  async services(request: XgenRequest): Promise<XgenAnswer> {
    const places = this.#places(request);
    const ports = await this.#openPorts(request);
    const body = ports.map((port) => ({ port, preview_url: previewUrl(request.sandboxId, port, places) }));
    return { status: 200, body };
  }

  async #find({ caller, sandboxId }: XgenRequest): Promise<SandboxRecord> {
    if (this.#deletedFailures.has(sandboxId)) {
      throw new WarmpoolError('SANDBOX_NOT_FOUND', `sandbox ${sandboxId} has ended`, {
        facts: { sandbox: sandboxId },
      });
    }
    return this.#deps.allocator.getSandbox(caller, sandboxId);
  }

  async #openPorts({ caller, sandboxId }: XgenRequest): Promise<readonly number[]> {
    let session: SandboxSession;
    try {
      session = await this.#deps.allocator.openSession(caller, sandboxId);
    } catch (error) {
      if (isWarmpoolError(error) && doesNotRun.has(error.code)) return [];
      throw error;
    }
    try {
      return await listPorts(session.guest);
    } finally {
      session.close();
    }
  }

  /** As soon as it runs, or after two seconds as it is then: clients look again by themselves. */
  async #create(request: XgenRequest, create: XgenCreate): Promise<SandboxRecord> {
    const { allocator, clock } = this.#deps;
    const createId = randomUUID();
    const startedMs = clock.monotonicMs();
    const failed = (error: unknown) => createFailure(error, request.version, create.template);
    const creating = allocator
      .createSandbox(
        request.caller,
        {
          template: create.template,
          timeoutMs: create.timeoutMs,
          env: create.env,
          metadata: { ...create.metadata, [xgenRequestKey]: keptRequest(create), [xgenCreateKey]: createId },
          requestId: createId,
          resources: create.resources,
          livesWhileKept: true,
          onMiss: 'cold',
        },
        new AbortController().signal,
      )
      .then(({ record }) => {
        if (record.launch === 'cold') this.#deps.booted((clock.monotonicMs() - startedMs) / 1_000);
        return this.#fromItsBeginning(request, create, record);
      });
    // Whoever was answered before its end learns of a failure by looking.
    creating.catch(() => {});
    const waited = new AbortController();
    try {
      const first = await Promise.race([
        creating.catch(failed),
        pause(clock, createWaitMs, waited.signal).then(() => null),
      ]);
      if (first !== null) return first;
    } finally {
      waited.abort();
    }
    const { records } = await allocator.listSandboxes(request.caller, {
      metadata: { [xgenCreateKey]: createId },
    });
    return records[0] ?? (await creating.catch(failed));
  }

  /** The core counts the time of one that had to be booted from when it runs; this dialect from when it was asked for. */
  async #fromItsBeginning(
    request: XgenRequest,
    create: XgenCreate,
    record: SandboxRecord,
  ): Promise<SandboxRecord> {
    const { lease, launch } = record;
    if (launch === 'warm' || lease === undefined) return record;
    const lateMs = lease.expiresAtMs - claimedAt(record) - create.timeoutMs;
    const leftMs = lease.remainingMs - lateMs;
    if (lateMs <= 0 || leftMs < leaseMsMin) return record;
    return this.#deps.allocator.setTimeout(request.caller, record.id, leftMs).catch(() => record);
  }

  async #withSession(
    request: XgenRequest,
    work: (session: SandboxSession) => Promise<XgenAnswer>,
  ): Promise<XgenAnswer> {
    const session = await openWhenReady(this.#deps, request.caller, request.sandboxId, request.left);
    try {
      return await work(session);
    } finally {
      session.close();
    }
  }

  #places(request: XgenRequest): XgenPlaces {
    const { externalUrl, previewDomain } = this.#options;
    const { port } = new URL(request.origin);
    return {
      externalUrl: externalUrl ?? request.origin,
      previewDomain: previewDomain ?? (port === '' ? 'localhost' : `localhost:${port}`),
    };
  }
}

/** Clients know the template by its name here, and the field by theirs; the rest they may try again. */
function createFailure(error: unknown, version: XgenVersion, template: string): never {
  if (!isWarmpoolError(error)) throw error;
  if (error.code === 'TEMPLATE_NOT_FOUND')
    throw invalid('template', template, { reason: 'no such template' });
  const failure = xgenFailureOf(error, version);
  if (failure.status < 500) throw failure;
  throw new XgenFailure('POD_CREATE_FAILED', failure.message, { reason: error.code.toLowerCase(), template });
}

const doesNotRun: ReadonlySet<string> = new Set(['SANDBOX_WRONG_STATE', 'SANDBOX_FAILED']);
const keepAliveMs = 3_600_000;
const createWaitMs = 2_000;
/** The least that the core takes. */
const leaseMsMin = 1_000;

import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { NodeState } from '../domain/node-state.ts';
import type { AskedResources, OnMiss } from '../domain/pool-spec.ts';
import type { SandboxRecord, SandboxState } from '../domain/sandbox.ts';
import type { Scope } from '../domain/scopes.ts';
import type { GuestProcess, OutputSink } from '../guest-link/guest.ts';
import type { ListPage, PoolSnapshot, SizeChange, StoreEvent } from '../store/pool-store.ts';

/**
 * The use cases, as the edges see them. An edge (gRPC, later the HTTP dialects and the data plane) authenticates,
 * parses its wire into these shapes, and maps WarmpoolError to its own errors; everything else happens behind this.
 *
 * Every method throws WarmpoolError only. Values are checked here again (an edge only parses shapes), so that each
 * edge answers the same bad value the same way; violations name the fields in snake_case (`request_id`, `env.FOO`).
 */
export interface AllocatorApi {
  /**
   * `claiming` is told the claim's id as soon as the store has been asked, so that whoever signs a token for it can do so
   * while the store works. The sandbox of a repeated request has the claim id of its first time instead.
   */
  createSandbox(
    principal: Principal,
    request: CreateRequest,
    signal: AbortSignal,
    claiming?: (claimId: string) => void,
  ): Promise<Created>;
  getSandbox(principal: Principal, id: string): Promise<SandboxRecord>;
  listSandboxes(principal: Principal, request: ListRequest): Promise<ListPage>;
  /** Settles when the sandbox is gone (or the signal aborts: it still goes). Deleting one on its way out is fine. */
  deleteSandbox(principal: Principal, id: string, signal: AbortSignal): Promise<void>;
  /** `ttlMs` null: the lease's own ttl. Never shortens. */
  keepAlive(principal: Principal, id: string, ttlMs: number | null): Promise<SandboxRecord>;
  /** The sandbox ends `timeoutMs` from now unless kept alive; may shorten. */
  setTimeout(principal: Principal, id: string, timeoutMs: number): Promise<SandboxRecord>;
  /**
   * Lifecycle events of the tenant's sandboxes after `afterEventId` (null: from now). Settles once the watch is on:
   * whatever happens after that is told.
   */
  watchSandboxes(
    principal: Principal,
    filter: { readonly id?: string; readonly afterEventId: string | null },
    signal: AbortSignal,
  ): Promise<AsyncIterable<StoreEvent>>;

  /** Starts a process with the sandbox's customisation applied. On abort the process group is killed. */
  spawn(
    principal: Principal,
    request: SpawnRequest,
    output: OutputSink,
    signal: AbortSignal,
  ): Promise<GuestProcess>;
  /** Runs to its end and collects output up to `outputLimitBytes` for each stream, reading on and dropping the rest. */
  exec(principal: Principal, request: ExecRequest, signal: AbortSignal): Promise<ExecResult>;

  /**
   * Begins one client's use of a sandbox: checks that it runs here and may be used by `grant`. Throws SANDBOX_NOT_FOUND,
   * SANDBOX_WRONG_STATE, NODE_UNREACHABLE, PERMISSION_DENIED, and CANCELLED when the signal says that nobody waits for it
   * any more. Whoever opened it closes it.
   */
  openSession(grant: SessionGrant, sandboxId: string, signal?: AbortSignal): Promise<SandboxSession>;

  listPools(principal: Principal): Promise<readonly PoolView[]>;
  getPool(principal: Principal, name: string): Promise<PoolView>;
  scalePool(principal: Principal, name: string, change: SizeChange): Promise<PoolView>;

  listNodes(principal: Principal): Promise<readonly NodeView[]>;
  /** With what is left on it. All of these throw NODE_NOT_FOUND. */
  getNode(principal: Principal, id: string): Promise<NodeView>;
  /** Nothing new is started on it and nothing ready handed out from it; what runs goes on. */
  cordonNode(principal: Principal, id: string): Promise<NodeView>;
  /** Takes a cordon or a drain back. */
  uncordonNode(principal: Principal, id: string): Promise<NodeView>;
  /** As cordoned, and what still runs after `timeoutMs` (null: never) is ended. Does not wait for that. */
  drainNode(principal: Principal, id: string, timeoutMs: number | null): Promise<NodeView>;
}

/** A host that runs sandboxes, as its last heartbeat and the operator's order say. */
export interface NodeView {
  readonly id: string;
  readonly state: NodeState;
  readonly runtimes: readonly string[];
  readonly pools: readonly string[];
  readonly sandboxes: number;
  readonly capacity: number;
  /** null: it was shut down. */
  readonly heartbeatAgeMs: number | null;
  /** null: it is under no order. */
  readonly orderedForMs: number | null;
  /** null: nothing is ended by an order. */
  readonly drainEndsInMs: number | null;
  /** By the store's records; null in lists. */
  readonly left: NodeSandboxes | null;
}

export interface NodeSandboxes {
  readonly starting: number;
  readonly ready: number;
  readonly running: number;
  readonly stopping: number;
}

/** Who calls: from the API key. */
export interface Principal {
  readonly tenant: string;
  readonly scopes: ReadonlySet<Scope>;
}

/** Who uses a sandbox: an API key's principal, or a data token, which is bound to one claim of one sandbox. */
export interface SessionGrant extends Principal {
  /** Present for a data token: the claim that it was given out for (D11). */
  readonly claimId?: string;
  /**
   * Another process of the service, on behalf of a client of its own: what it does extends no lease (that process sees
   * to it), and it is not sent on to a third one.
   */
  readonly hop?: true;
}

/**
 * One client's use of a link. The channels that it opens carry the customisation of the claim; what it does counts as
 * use and extends the lease (protocol/README.md 3.3).
 */
export interface SandboxSession {
  /** As it was when the session began. */
  readonly record: SandboxRecord;
  /** The guest. Requests must have been completed by `completeExec` or `completeFiles` first. */
  readonly guest: ChannelOpener;
  /** Template, claim and request applied in this order: env added, user and cwd replaced. */
  completeExec(request: ExecDefaults): Required<ExecDefaults>;
  /** User and cwd of file requests. */
  completeFiles(request: Omit<ExecDefaults, 'env'>): Required<Omit<ExecDefaults, 'env'>>;
  /** Milliseconds from now, by the store's last answer. */
  lease(): SessionLease;
  /** `ttlMs` null: the lease's own. */
  keepAlive(ttlMs: number | null): Promise<SessionLease>;
  /** The guest was used: extends the lease, at most once per tenth of its ttl. Never rejects. */
  used(): void;
  /** Called on every change of the lease and once at the end, until `close`. */
  watch(listener: SessionListener): void;
  close(): void;
}

export interface ExecDefaults {
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly cwd?: string;
}

export interface SessionLease {
  readonly remainingMs: number;
  readonly ttlMs: number;
  readonly endOfLifeMs: number;
}

export interface SessionListener {
  onLease(lease: SessionLease): void;
  /** The sandbox ends or its guest cannot be reached any more. `reason` is an EndReason or `link_lost`, `node_drained`. */
  onEnd(end: { readonly reason: string; readonly failed: boolean }): void;
}

export { type Scope, scopes } from '../domain/scopes.ts';

export interface CreateRequest {
  readonly template: string;
  /** Absent: the pool's. */
  readonly timeoutMs?: number;
  readonly env: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly cwd?: string;
  /**
   * What the template does not have so already is booted for this claim, whatever `onMiss` says: a sandbox's limits are
   * set when it is booted, and how much of its memory its files may take is one of them.
   */
  readonly resources?: AskedResources;
  /** Kept alive it may live on, unless the pool's file names a `maxLifetime`. */
  readonly livesWhileKept?: true;
  /** Absent: made up, so every create is idempotent inside. */
  readonly requestId?: string;
  /** Absent: the pool's. */
  readonly onMiss?: OnMiss;
  /** How long `onMiss: wait` waits. */
  readonly waitMs?: number;
}

export interface Created {
  readonly record: SandboxRecord;
  /** True when the request id was seen before and this is the sandbox of that time. */
  readonly repeated: boolean;
}

export interface ListRequest {
  readonly template?: string;
  readonly states?: readonly SandboxState[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly pageSize?: number;
  readonly pageToken?: string;
}

export interface SpawnRequest {
  readonly sandboxId: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly user?: string;
  readonly stdin: boolean;
  readonly timeoutMs?: number;
}

export interface ExecRequest extends Omit<SpawnRequest, 'stdin'> {
  /** Given to the process, then end of file. */
  readonly stdin: Uint8Array;
  readonly outputLimitBytes?: number;
}

export interface ExecResult {
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly timedOut: boolean;
  readonly durationUs: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly stdoutTruncated: boolean;
  readonly stderrTruncated: boolean;
}

export interface PoolView extends PoolSnapshot {
  readonly runtime: string;
  /** Why the pool is not at its target, when it is not: the last failed boot, back-off, a limit. Empty otherwise. */
  readonly note: string;
}

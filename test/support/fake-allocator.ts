import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type {
  AllocatorApi,
  Created,
  CreateRequest,
  ExecRequest,
  ExecResult,
  ListRequest,
  NodeView,
  PoolView,
  Principal,
  SandboxSession,
  SessionGrant,
  SpawnRequest,
} from '../../src/allocator/api.ts';
import { invalidRequest, WarmpoolError } from '../../src/domain/errors.ts';
import { newClaimId, newSandboxId } from '../../src/domain/ids.ts';
import type { SandboxRecord, SandboxState } from '../../src/domain/sandbox.ts';
import type { GuestProcess, OutputSink } from '../../src/guest-link/guest.ts';
import type { ListPage, SizeChange, StoreEvent } from '../../src/store/pool-store.ts';
import { FakeProcess } from './fake-process.ts';
import { FakeSession } from './fake-session.ts';

/**
 * The use cases over a few maps, for tests of the edges: pools `base` (always a ready one), `empty` (NO_CAPACITY) and
 * `slow` (waits until the call is given up). `fail` makes the next calls throw what a test wants to see on the wire.
 */
export class FakeAllocator implements AllocatorApi {
  readonly creates: CreateRequest[] = [];
  readonly execs: ExecRequest[] = [];
  readonly spawns: SpawnRequest[] = [];
  readonly processes: FakeProcess[] = [];
  readonly aborted: unknown[] = [];
  readonly sessions: FakeSession[] = [];
  /** What the sessions of all sandboxes reach. */
  guest: ChannelOpener | null = null;
  fail: Error | null = null;
  renewals = 0;
  readonly #records = new Map<string, SandboxRecord>();
  readonly #byRequest = new Map<string, string>();
  readonly #events: StoreEvent[] = [];
  readonly nodes = new Map<string, NodeView>();
  readonly #pools = new Map(['base', 'empty', 'slow'].map((name) => [name, poolView(name)]));
  #news = new Set<() => void>();

  async createSandbox(principal: Principal, request: CreateRequest, signal: AbortSignal): Promise<Created> {
    this.#mayFail();
    this.creates.push(request);
    if (request.template === '')
      throw invalidRequest([{ field: 'template', description: 'must not be empty' }]);
    if (!this.#pools.has(request.template)) {
      throw new WarmpoolError('TEMPLATE_NOT_FOUND', `no template is named "${request.template}"`);
    }
    if (request.template === 'empty') {
      throw new WarmpoolError('NO_CAPACITY', 'the pool "empty" has no ready sandbox', {
        retryAfterMs: 1_500,
        facts: { pool: 'empty' },
      });
    }
    if (request.template === 'slow') await this.#until(signal);
    const requestKey = `${principal.tenant} ${request.requestId}`;
    const known = this.#records.get(this.#byRequest.get(requestKey) ?? '');
    if (known && request.requestId !== undefined) return { record: known, repeated: true };
    const record = runningRecord(principal.tenant, request);
    this.#records.set(record.id, record);
    if (request.requestId !== undefined) this.#byRequest.set(requestKey, record.id);
    this.#event(record, null, 'running');
    return { record, repeated: false };
  }

  async getSandbox(principal: Principal, id: string): Promise<SandboxRecord> {
    this.#mayFail();
    const record = this.#records.get(id);
    if (record?.claim?.tenant !== principal.tenant) {
      throw new WarmpoolError('SANDBOX_NOT_FOUND', `no sandbox has the id "${id.slice(0, 64)}"`);
    }
    return record;
  }

  async listSandboxes(principal: Principal, request: ListRequest): Promise<ListPage> {
    this.#mayFail();
    const wanted = [...this.#records.values()].filter((record) => {
      const metadata = record.claim?.customisation.metadata ?? {};
      return (
        record.claim?.tenant === principal.tenant &&
        (request.template === undefined || record.pool === request.template) &&
        (request.states === undefined || request.states.includes(record.state)) &&
        Object.entries(request.metadata ?? {}).every(([key, value]) => metadata[key] === value)
      );
    });
    const start = Number(request.pageToken ?? 0);
    const end = start + (request.pageSize ?? 100);
    return {
      records: wanted.slice(start, end),
      ...(end < wanted.length && { nextPageToken: String(end) }),
    };
  }

  async deleteSandbox(principal: Principal, id: string, _signal: AbortSignal): Promise<void> {
    const record = await this.getSandbox(principal, id);
    this.#records.delete(id);
    this.#event(record, 'running', 'stopping');
    this.#event(record, 'stopping', 'stopped');
  }

  async keepAlive(principal: Principal, id: string, ttlMs: number | null): Promise<SandboxRecord> {
    const record = await this.getSandbox(principal, id);
    return this.#renew(record, ttlMs ?? record.lease?.ttlMs ?? 0);
  }

  async setTimeout(principal: Principal, id: string, timeoutMs: number): Promise<SandboxRecord> {
    return this.#renew(await this.getSandbox(principal, id), timeoutMs);
  }

  async watchSandboxes(
    principal: Principal,
    filter: { readonly id?: string; readonly afterEventId: string | null },
    signal: AbortSignal,
  ): Promise<AsyncIterable<StoreEvent>> {
    const next = filter.afterEventId === null ? this.#events.length : Number(filter.afterEventId) + 1;
    if (Number.isNaN(next)) {
      throw invalidRequest([{ field: 'after_event_id', description: 'is not an event id' }]);
    }
    return this.#eventsFrom(next, principal, filter.id, signal);
  }

  async *#eventsFrom(
    first: number,
    principal: Principal,
    id: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<StoreEvent> {
    let next = first;
    while (!signal.aborted) {
      const event = this.#events[next];
      if (event === undefined) {
        await this.#nextNews(signal);
        continue;
      }
      next += 1;
      if (event.tenant === principal.tenant && (id === undefined || id === event.id)) yield event;
    }
  }

  async spawn(
    principal: Principal,
    request: SpawnRequest,
    output: OutputSink,
    signal: AbortSignal,
  ): Promise<GuestProcess> {
    this.spawns.push(request);
    await this.getSandbox(principal, request.sandboxId);
    const process = FakeProcess.start(request.argv, output);
    this.processes.push(process);
    signal.addEventListener('abort', () => process.signal(9), { once: true });
    return process;
  }

  async exec(principal: Principal, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    this.execs.push(request);
    const kept = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    let release: (byteCount: number) => void = () => {};
    const output: OutputSink = {
      onOutput: (stream, bytes) => {
        kept[stream].push(bytes);
        queueMicrotask(() => release(bytes.length));
      },
    };
    const process = await this.spawn(principal, { ...request, stdin: true }, output, signal);
    release = (byteCount) => process.release(byteCount);
    await process.writeStdin(request.stdin);
    process.endStdin();
    const exit = await process.exited;
    if (signal.aborted) {
      this.aborted.push(signal.reason);
      throw signal.reason;
    }
    const limit = request.outputLimitBytes ?? 1_048_576;
    const [stdout, stderr] = [Buffer.concat(kept.stdout), Buffer.concat(kept.stderr)];
    return {
      ...exit,
      stdout: stdout.subarray(0, limit),
      stderr: stderr.subarray(0, limit),
      stdoutTruncated: stdout.length > limit,
      stderrTruncated: stderr.length > limit,
    };
  }

  async openSession(grant: SessionGrant, sandboxId: string): Promise<SandboxSession> {
    const record = await this.getSandbox(grant, sandboxId);
    if (!this.guest) throw new WarmpoolError('NODE_UNREACHABLE', 'this fake has no guest');
    const session = new FakeSession(record, this.guest);
    this.sessions.push(session);
    return session;
  }

  async listPools(_principal: Principal): Promise<readonly PoolView[]> {
    this.#mayFail();
    return [...this.#pools.values()];
  }

  async getPool(_principal: Principal, name: string): Promise<PoolView> {
    this.#mayFail();
    const pool = this.#pools.get(name);
    if (!pool)
      throw new WarmpoolError('POOL_NOT_FOUND', `no pool is named "${name}"`, { facts: { pool: name } });
    return pool;
  }

  async scalePool(principal: Principal, name: string, change: SizeChange): Promise<PoolView> {
    const pool = await this.getPool(principal, name);
    const scaled = { ...pool, size: { ...pool.size, ...change } };
    this.#pools.set(name, scaled);
    return scaled;
  }

  async listNodes(_principal: Principal): Promise<readonly NodeView[]> {
    this.#mayFail();
    return [...this.nodes.values()];
  }

  async getNode(_principal: Principal, id: string): Promise<NodeView> {
    this.#mayFail();
    const node = this.nodes.get(id);
    if (!node) throw new WarmpoolError('NODE_NOT_FOUND', `no node is named "${id}"`, { facts: { node: id } });
    return node;
  }

  cordonNode(principal: Principal, id: string): Promise<NodeView> {
    return this.#order(principal, id, { state: 'cordoned', orderedForMs: 0, drainEndsInMs: null });
  }

  uncordonNode(principal: Principal, id: string): Promise<NodeView> {
    return this.#order(principal, id, { state: 'active', orderedForMs: null, drainEndsInMs: null });
  }

  drainNode(principal: Principal, id: string, timeoutMs: number | null): Promise<NodeView> {
    return this.#order(principal, id, { state: 'draining', orderedForMs: 0, drainEndsInMs: timeoutMs });
  }

  async #order(principal: Principal, id: string, change: Partial<NodeView>): Promise<NodeView> {
    const node = { ...(await this.getNode(principal, id)), ...change };
    this.nodes.set(id, node);
    return node;
  }

  #mayFail(): void {
    if (this.fail) throw this.fail;
  }

  #renew(record: SandboxRecord, ttlMs: number): SandboxRecord {
    this.renewals += 1;
    // A renewal moves the end; how long the lease is stays as it was claimed.
    const renewed = { ...record, lease: { ...leaseOf(ttlMs), ttlMs: record.lease?.ttlMs ?? ttlMs } };
    this.#records.set(record.id, renewed);
    return renewed;
  }

  #event(record: SandboxRecord, from: SandboxState | null, to: SandboxState): void {
    this.#events.push({
      cursor: String(this.#events.length),
      id: record.id,
      incarnation: record.incarnation,
      pool: record.pool,
      tenant: record.claim?.tenant ?? null,
      nodeId: record.nodeId,
      from,
      to,
      reason: to === 'running' ? null : 'deleted',
      atMs: epochMs,
    });
    for (const wake of this.#news) wake();
  }

  #nextNews(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        this.#news.delete(settle);
        signal.removeEventListener('abort', settle);
        resolve();
      };
      this.#news.add(settle);
      signal.addEventListener('abort', settle);
    });
  }

  async #until(signal: AbortSignal): Promise<never> {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    this.aborted.push(signal.reason);
    throw signal.reason;
  }
}

/** A fixed clock: what tests print and compare does not change from run to run. */
export const epochMs = Date.UTC(2030, 0, 2, 3, 4, 5, 678);

function runningRecord(tenant: string, request: CreateRequest): SandboxRecord {
  const { env, metadata, user, cwd } = request;
  return {
    id: newSandboxId(7),
    pool: request.template,
    specVersion: '0123456789abcdef',
    state: 'running',
    launch: 'warm',
    nodeId: 'node-1',
    incarnation: 2,
    createdAtMs: epochMs,
    readyAtMs: epochMs + 5,
    claim: {
      tenant,
      claimId: newClaimId(),
      claimedAtMs: epochMs + 10,
      customisation: {
        env,
        metadata,
        ...(user !== undefined && { user }),
        ...(cwd !== undefined && { cwd }),
      },
    },
    lease: leaseOf(request.timeoutMs ?? 300_000),
  };
}

function leaseOf(ttlMs: number): NonNullable<SandboxRecord['lease']> {
  return {
    expiresAtMs: epochMs + ttlMs,
    remainingMs: ttlMs,
    ttlMs,
    endOfLifeMs: epochMs + 86_400_000,
    onExpiry: 'kill',
  };
}

function poolView(name: string): PoolView {
  return {
    name,
    specVersion: '0123456789abcdef',
    runtime: 'bubblewrap',
    size: {
      minReady: 8,
      maxReady: 64,
      maxTotal: 256,
      startsInFlightMax: 4,
      maxIdleAgeMs: 3_600_000,
      onMiss: 'cold',
      targetHitRatio: name === 'slow' ? 0.95 : 0,
      burst: 0,
      scaleToZeroAfterMs: 600_000,
    },
    target: name === 'slow' ? 12 : 8,
    ready: name === 'base' ? 8 : 0,
    starting: 0,
    live: 9,
    waiting: 0,
    counters: {
      hits: 3,
      missesEmpty: 1,
      missesUncacheable: 0,
      missesOverLimit: 0,
      startsWarm: 9,
      startsCold: 1,
      startsFailed: 0,
      boots: 9,
      bootMs: 2_700,
    },
    demand:
      name === 'slow'
        ? {
            wanted: 12,
            wantedAtMs: epochMs,
            load: {
              sampledAtMs: epochMs,
              counted: { claims: 4, boots: 9, bootMs: 2_700 },
              claimsPerSecond: { stable: 2.5, panic: 1 },
              bootMs: { stable: 2_000, panic: 2_000 },
              beganAtMs: epochMs,
              claimedAtMs: epochMs,
            },
          }
        : null,
    readAtMs: epochMs,
    note: name === 'empty' ? 'the last boot failed: no such image' : '',
  };
}

import { invalidRequest, WarmpoolError } from '../domain/errors.ts';
import { isSandboxId } from '../domain/ids.ts';
import { listPageSizeDefault } from '../domain/limits.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import { isEnded } from '../domain/transitions.ts';
import type { GuestProcess, OutputSink } from '../guest-link/guest.ts';
import type { ListPage, PoolSnapshot, RenewAnswer, SizeChange, StoreEvent } from '../store/pool-store.ts';
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
} from './api.ts';
import { type CreatorDeps, SandboxCreator } from './create-sandbox.ts';
import { Executor, type ExecutorDeps } from './executor.ts';
import { Nodes } from './nodes.ts';
import { readOwned } from './read-owned.ts';
import { refusalError, requireKnown, sandboxFailed, sandboxNotFound } from './require-running.ts';
import { Sessions } from './session.ts';
import { assertListRequest, assertRenewal } from './validation.ts';

/** The use cases behind every edge. Stateless: any number of allocators serve the same store. */
export class Allocator implements AllocatorApi {
  readonly #deps: AllocatorDeps;
  readonly #creator: SandboxCreator;
  readonly #executor: Executor;
  readonly #sessions: Sessions;
  readonly #nodes: Nodes;

  constructor(deps: AllocatorDeps) {
    this.#deps = deps;
    this.#creator = new SandboxCreator(deps);
    this.#executor = new Executor(deps);
    this.#sessions = new Sessions(deps);
    this.#nodes = new Nodes(deps);
  }

  createSandbox(
    principal: Principal,
    request: CreateRequest,
    signal: AbortSignal,
    claiming?: (claimId: string) => void,
  ): Promise<Created> {
    return this.#creator.create(principal, request, signal, claiming);
  }

  async getSandbox(principal: Principal, id: string): Promise<SandboxRecord> {
    return requireKnown(await this.#read(principal, id), id);
  }

  async listSandboxes(principal: Principal, request: ListRequest): Promise<ListPage> {
    assertListRequest(request);
    const { template, pageSize, ...rest } = request;
    return this.#deps.store.list({
      ...rest,
      ...(template !== undefined && { pool: template }),
      tenant: principal.tenant,
      pageSize: pageSize ?? listPageSizeDefault,
    });
  }

  async deleteSandbox(principal: Principal, id: string, signal: AbortSignal): Promise<void> {
    const { store, feed, remove, vouch } = this.#deps;
    if (!isSandboxId(id)) throw sandboxNotFound(id);
    const target = { id, tenant: principal.tenant };
    let answer = await store.beginStop(target, 'deleted');
    if (answer.kind === 'refused' && answer.why === 'not_found' && (await vouch(id, principal.tenant)))
      answer = await store.beginStop(target, 'deleted');
    if (answer.kind === 'done') this.#deps.observer.sandboxEnded('deleted');
    else if (answer.why === 'not_found' || answer.state === 'stopped') throw sandboxNotFound(id);
    else if (answer.state !== 'stopping' && answer.state !== 'failed') throw refusalError(answer, id);

    let record = answer.kind === 'done' ? answer.record : await store.get(id, principal.tenant);
    if (record) await remove(record);
    while (record && !isEnded(record.state) && !signal.aborted) {
      record = await store.get(id, principal.tenant);
      if (record && !isEnded(record.state)) await feed.news(id, 1_000, signal);
    }
    // The record of a failure outlives its object for who wants to know why. Whoever deletes it does not.
    if (record?.state === 'failed') await store.beginStop(target, 'deleted').catch(() => {});
  }

  async keepAlive(principal: Principal, id: string, ttlMs: number | null): Promise<SandboxRecord> {
    if (ttlMs !== null) assertRenewal('ttl', ttlMs);
    return this.#renew(principal, id, ttlMs, 'extend');
  }

  async setTimeout(principal: Principal, id: string, timeoutMs: number): Promise<SandboxRecord> {
    assertRenewal('timeout', timeoutMs);
    return this.#renew(principal, id, timeoutMs, 'set');
  }

  async watchSandboxes(
    principal: Principal,
    filter: { readonly id?: string; readonly afterEventId: string | null },
    signal: AbortSignal,
  ): Promise<AsyncIterable<StoreEvent>> {
    const batches = await this.#deps.store.follow(filter.afterEventId, signal);
    const isMeant = ({ id, tenant }: StoreEvent) =>
      tenant === principal.tenant && (filter.id === undefined || filter.id === id);
    return eventsOf(batches, isMeant, signal);
  }

  spawn(
    principal: Principal,
    request: SpawnRequest,
    output: OutputSink,
    signal: AbortSignal,
  ): Promise<GuestProcess> {
    return this.#executor.spawn(principal, request, output, signal);
  }

  exec(principal: Principal, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    return this.#executor.exec(principal, request, signal);
  }

  openSession(grant: SessionGrant, sandboxId: string, signal?: AbortSignal): Promise<SandboxSession> {
    return this.#sessions.openSession(grant, sandboxId, signal);
  }

  async listPools(_principal: Principal): Promise<readonly PoolView[]> {
    const { catalog, store } = this.#deps;
    const snapshots = await Promise.all(catalog.all().map((pool) => store.readPool(pool.spec.name)));
    return snapshots.filter((snapshot) => snapshot !== null).map((snapshot) => this.#view(snapshot));
  }

  async getPool(_principal: Principal, name: string): Promise<PoolView> {
    const snapshot = this.#deps.catalog.get(name) && (await this.#deps.store.readPool(name));
    if (!snapshot) throw poolNotFound(name);
    return this.#view(snapshot);
  }

  async scalePool(_principal: Principal, name: string, change: SizeChange): Promise<PoolView> {
    const { store } = this.#deps;
    const before = this.#deps.catalog.get(name) && (await store.readPool(name));
    if (!before) throw poolNotFound(name);
    assertSize({ ...before.size, ...change });
    const snapshot = await store.scalePool(name, change);
    if (!snapshot) throw poolNotFound(name);
    this.#deps.poolChanged();
    return this.#view(snapshot);
  }

  listNodes(_principal: Principal): Promise<readonly NodeView[]> {
    return this.#nodes.list();
  }

  getNode(_principal: Principal, id: string): Promise<NodeView> {
    return this.#nodes.get(id);
  }

  cordonNode(_principal: Principal, id: string): Promise<NodeView> {
    return this.#nodes.cordon(id);
  }

  uncordonNode(_principal: Principal, id: string): Promise<NodeView> {
    return this.#nodes.uncordon(id);
  }

  drainNode(_principal: Principal, id: string, timeoutMs: number | null): Promise<NodeView> {
    return this.#nodes.drain(id, timeoutMs);
  }

  /** Ids of a wrong shape are simply unknown: nothing to look up. */
  async #read(principal: Principal, id: string): Promise<SandboxRecord | null> {
    return isSandboxId(id) ? readOwned(this.#deps, id, principal.tenant) : null;
  }

  async #renew(
    principal: Principal,
    id: string,
    ttlMs: number | null,
    mode: 'extend' | 'set',
  ): Promise<SandboxRecord> {
    if (!isSandboxId(id)) throw sandboxNotFound(id);
    const askedAtMs = this.#deps.clock.monotonicMs();
    const { store, vouch } = this.#deps;
    const owner = { id, tenant: principal.tenant };
    let answer: RenewAnswer = await store.renew(owner, ttlMs, mode);
    if (answer.kind === 'refused' && answer.why === 'not_found' && (await vouch(id, principal.tenant)))
      answer = await store.renew(owner, ttlMs, mode);
    if (answer.kind === 'done') {
      this.#sessions.renewed(answer.record, askedAtMs);
      return answer.record;
    }
    if (answer.state === 'failed') {
      throw sandboxFailed(requireKnown(await this.#deps.store.get(id, principal.tenant), id));
    }
    throw refusalError(answer, id);
  }

  #view(snapshot: PoolSnapshot): PoolView {
    return { ...snapshot, ...this.#deps.describePool(snapshot.name) };
  }
}

export interface AllocatorDeps extends CreatorDeps, ExecutorDeps {
  readonly store: CreatorDeps['store'];
  /** Removes a sandbox on its way out in this process when its node is here; null when it is elsewhere. */
  readonly remove: (record: SandboxRecord) => Promise<void> | null;
  readonly describePool: (name: string) => { readonly runtime: string; readonly note: string };
  readonly poolChanged: () => void;
}

async function* eventsOf(
  batches: AsyncIterable<readonly StoreEvent[]>,
  isMeant: (event: StoreEvent) => boolean,
  signal: AbortSignal,
): AsyncGenerator<StoreEvent> {
  for await (const events of batches) {
    for (const event of events) {
      if (signal.aborted) return;
      if (isMeant(event)) yield event;
    }
  }
}

function poolNotFound(name: string): WarmpoolError {
  return new WarmpoolError('POOL_NOT_FOUND', `no pool is named "${name.slice(0, 64)}"`, {
    facts: { pool: name.slice(0, 64) },
  });
}

function assertSize(size: { minReady: number; maxReady: number; maxTotal: number }): void {
  const { minReady, maxReady, maxTotal } = size;
  const whole = [minReady, maxReady, maxTotal].every((count) => Number.isInteger(count) && count >= 0);
  if (whole && minReady <= maxReady && maxReady <= maxTotal) return;
  const would = `would be min_ready ${minReady}, max_ready ${maxReady}, max_total ${maxTotal}; each must not be over the next`;
  throw invalidRequest([{ field: minReady > maxReady ? 'min_ready' : 'max_total', description: would }]);
}

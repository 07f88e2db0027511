import type { Allocator } from '../../src/allocator/allocator.ts';
import { type CreateRequest, type Principal, type SandboxSession, scopes } from '../../src/allocator/api.ts';
import { isWarmpoolError, WarmpoolError } from '../../src/domain/errors.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import type { Checker } from './checker.ts';
import type { ServiceProcess } from './service-process.ts';
import type { Network } from './store-wire.ts';
import type { World } from './world.ts';

/**
 * A client that makes sandboxes one after the other, uses them, keeps them alive, and deletes them or walks away. It asks
 * any allocator, repeats what was not answered with the same request id, and now and then asks for what it must not get.
 */
export class Tenant {
  readonly #deps: TenantDeps;
  readonly #principal: Principal;
  /** Among those of the same tenant. */
  readonly #client: number;
  /** Sandboxes of others, to try. */
  readonly #foreign: () => string | null;
  #requestCount = 0;

  constructor(
    deps: TenantDeps,
    { name, client }: { readonly name: string; readonly client: number },
    foreign: () => string | null,
  ) {
    this.#deps = deps;
    this.#client = client;
    this.#principal = { tenant: name, scopes: new Set(scopes) };
    this.#foreign = foreign;
  }

  get name(): string {
    return this.#principal.tenant;
  }

  /** Until it is told to leave: then it leaves everything behind as it is. */
  async live(isOver: () => boolean): Promise<void> {
    const { world } = this.#deps;
    const { chance } = world;
    await world.wait(chance.between(0, 3_000));
    while (!isOver()) {
      if (chance.is(0.1)) await this.#crowd(isOver);
      else await this.#one(isOver);
      await world.wait(chance.exponential(1_500));
    }
  }

  async #one(isOver: () => boolean, wanted: Partial<CreateRequest> = {}): Promise<void> {
    const record = await this.#create(wanted);
    if (record && !this.#deps.world.chance.is(0.1)) await this.#use(record, isOver);
  }

  /** More at once than a pool has ready: they wait for it one behind the other. */
  async #crowd(isOver: () => boolean): Promise<void> {
    const { world, pools } = this.#deps;
    const wanted = { template: world.chance.pick(pools), onMiss: 'wait', waitMs: 8_000 } as const;
    const coming = Array.from({ length: crowdSize }, async () => {
      await world.wait(world.chance.between(0, 500));
      await this.#one(isOver, wanted);
    });
    await Promise.all(coming);
  }

  async #create(wanted: Partial<CreateRequest>): Promise<SandboxRecord | null> {
    const { world, pools } = this.#deps;
    const { chance } = world;
    const isOwnId = chance.is(0.8);
    this.#requestCount += 1;
    const request: CreateRequest = {
      template: chance.pick(pools),
      env: {},
      metadata: {},
      timeoutMs: chance.pick([10_000, 15_000, 30_000]),
      ...(isOwnId && { requestId: `${this.#client}-${this.#requestCount}` }),
      ...chance.pick([
        {},
        {},
        { onMiss: 'wait', waitMs: 5_000 },
        { onMiss: 'fail' },
        { onMiss: 'cold' },
      ] as const),
      ...wanted,
    };
    const losses = this.#deps.checker.counted.storeLosses;
    for (let attempt = 1; attempt <= createAttemptsMax; attempt += 1) {
      const answer = await this.#ask((allocator, signal) =>
        allocator.createSandbox(this.#principal, request, signal),
      );
      if (answer.kind === 'ok') {
        if (isOwnId && chance.is(0.15)) await this.#repeat(request, answer.value.record, losses);
        return answer.value.record;
      }
      const isWorthIt =
        answer.kind === 'lost' || answer.code === 'STORE_UNAVAILABLE' || answer.code === 'CLAIM_CONFLICT';
      if (!isWorthIt || !isOwnId) return null;
      await world.wait(chance.between(10, 500));
    }
    return null;
  }

  /** The same request again, or another one under its id; `losses` of the store there had been before the first. */
  async #repeat(request: CreateRequest, record: SandboxRecord, losses: number): Promise<void> {
    const { world, checker } = this.#deps;
    const isOther = world.chance.is(0.3);
    const again = isOther ? { ...request, metadata: { another: 'body' } } : request;
    const answer = await this.#ask((allocator, signal) =>
      allocator.createSandbox(this.#principal, again, signal),
    );
    if (checker.counted.storeLosses !== losses || answer.kind === 'lost') return;
    if (isOther && answer.kind === 'ok')
      world.fail('I2', `another body was accepted for ${request.requestId}`);
    if (!isOther && answer.kind === 'ok' && answer.value.record.id !== record.id)
      world.fail('I2', `${request.requestId} was answered ${record.id} and then ${answer.value.record.id}`);
  }

  async #use(record: SandboxRecord, isOver: () => boolean): Promise<void> {
    const { world } = this.#deps;
    const { chance } = world;
    const ttlMs = record.lease?.ttlMs ?? 10_000;
    const steps = Math.floor(chance.exponential(4));
    for (let step = 0; step <= steps && !isOver(); step += 1) {
      if (step === 0 || chance.is(0.3)) {
        const used = await this.#open(record);
        if (used === 'CLAIM_CONFLICT' || used === 'SANDBOX_NOT_FOUND') return;
      }
      // Most keep well ahead of the lease's end; some come in the very moment in which it ends.
      const pauseMs = chance.is(0.25) ? ttlMs + chance.between(-40, 20) : chance.between(0, ttlMs / 2);
      await world.wait(pauseMs);
      const kept = await this.#ask((allocator) =>
        allocator.keepAlive(this.#principal, record.id, chance.is(0.5) ? null : 12_000),
      );
      if (kept.kind === 'failed' && isGone.has(kept.code)) return;
      if (chance.is(0.05)) await this.#tryForeign();
    }
    // The others walk away, and leave the rest to the lease.
    if (chance.is(0.6)) {
      await this.#ask((allocator, signal) => allocator.deleteSandbox(this.#principal, record.id, signal));
    }
  }

  /** On the sandbox's node, with the claim that was given out, as a data token names it. */
  async #open(record: SandboxRecord): Promise<string | null> {
    const { checker, services, world } = this.#deps;
    const service = services.find(({ host }) => host?.name === record.nodeId);
    const { claim } = record;
    if (!service || !claim) return null;
    const { claimId } = claim;
    const answer = await this.#call(service, async (allocator) => {
      const session = await allocator.openSession({ ...this.#principal, claimId }, record.id);
      checker.used(service.name, session.record, claimId);
      this.#leaveLater(session);
    });
    if (answer.kind === 'failed' && answer.code === 'CLAIM_CONFLICT') {
      world.trace.line(this.name, `is refused ${record.id}, which it was given`);
    }
    return answer.kind === 'failed' ? answer.code : null;
  }

  #leaveLater(session: SandboxSession): void {
    const { world } = this.#deps;
    world.after(world.chance.between(0, 10_000), () => {
      if (world.chance.is(0.5)) session.used();
      session.close();
    });
  }

  async #tryForeign(): Promise<void> {
    const { world } = this.#deps;
    const id = this.#foreign();
    if (id === null) return;
    const answer = await this.#ask<unknown>((allocator, signal) =>
      world.chance.pick<() => Promise<unknown>>([
        () => allocator.getSandbox(this.#principal, id),
        () => allocator.keepAlive(this.#principal, id, null),
        () => allocator.deleteSandbox(this.#principal, id, signal),
        () => allocator.openSession(this.#principal, id),
      ])(),
    );
    const isHidden =
      answer.kind !== 'ok' && (answer.kind === 'lost' || answer.code !== 'SANDBOX_WRONG_STATE');
    if (!isHidden) world.fail('I16', `${this.name} learnt something of ${id}, which is another tenant's`);
  }

  #ask<T>(work: (allocator: Allocator, signal: AbortSignal) => Promise<T>): Promise<Answer<T>> {
    const { world, services } = this.#deps;
    return this.#call(world.chance.pick(services), work);
  }

  /** A call over a network: it ends by its deadline, whatever becomes of the process that serves it. */
  #call<T>(
    service: ServiceProcess,
    work: (allocator: Allocator, signal: AbortSignal) => Promise<T>,
  ): Promise<Answer<T>> {
    const { world, network } = this.#deps;
    return new Promise((resolve) => {
      const settle = (answer: Answer<T>) => world.after(network.delayMs(), () => resolve(answer));
      world.after(network.delayMs(), () => {
        const { life } = service;
        if (!life || network.loses()) return settle({ kind: 'lost' });
        const { actor, allocator } = life;
        const abort = new AbortController();
        let isSettled = false;
        const forget = actor.whenDead(() => settle({ kind: 'lost' }));
        const end = (answer: Answer<T>) => {
          isSettled = true;
          forget();
          settle(network.loses() ? { kind: 'lost' } : answer);
        };
        world.after(callDeadlineMs, () => {
          if (isSettled) return;
          resolve({ kind: 'lost' });
          actor.deliver(() => abort.abort(new WarmpoolError('CANCELLED', 'the deadline has passed')));
          world.after(callGraceMs, () => {
            const couldAct = actor.isAlive && actor.stalledAtMs < world.nowMs - callGraceMs;
            if (!isSettled && couldAct) world.fail('I15', `a call to ${service.name} has no end`);
          });
        });
        actor.deliver(() => {
          work(allocator, abort.signal).then(
            (value) => end({ kind: 'ok', value }),
            (error: unknown) => {
              if (!isWarmpoolError(error)) world.fail('I15', `a call ended by ${String(error)}`);
              end({ kind: 'failed', code: isWarmpoolError(error) ? error.code : 'INTERNAL' });
            },
          );
        });
      });
    });
  }
}

type Answer<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'failed'; readonly code: string }
  /** Nothing is known of the outcome. */
  | { readonly kind: 'lost' };

export interface TenantDeps {
  readonly world: World;
  readonly checker: Checker;
  readonly network: Network;
  readonly services: readonly ServiceProcess[];
  readonly pools: readonly string[];
}

const isGone: ReadonlySet<string> = new Set(['SANDBOX_NOT_FOUND', 'SANDBOX_WRONG_STATE', 'SANDBOX_FAILED']);
const createAttemptsMax = 4;
const crowdSize = 6;
const callDeadlineMs = 30_000;
/** Some commands of a store that does not answer, one after the other. */
const callGraceMs = 30_000;

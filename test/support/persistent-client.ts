import { setTimeout as elapse } from 'node:timers/promises';
import type { CreateRequest, Principal } from '../../src/allocator/api.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import type { startCore } from './core.ts';

type Core = Awaited<ReturnType<typeof startCore>>;

/** A sandbox as somebody was told of it, whether or not it was used. */
export interface Given {
  readonly principal: Principal;
  readonly request: CreateRequest;
  readonly record: SandboxRecord;
}

/**
 * What clients do whose store fails over: they ask again what was not answered, and ask for another sandbox when the one
 * they were given turns out to be somebody else's. Which claims have used which sandbox is kept for all of them.
 */
export class PersistentClients {
  readonly #core: Core;
  /** By sandbox; more than one claim is what must never be. */
  readonly usedBy = new Map<string, Set<string>>();
  refusals = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** The claims of every sandbox that more than one has used. */
  get doubles(): readonly (readonly string[])[] {
    return [...this.usedBy.values()].filter((claims) => claims.size > 1).map((claims) => [...claims]);
  }

  /** Asks until it is answered. */
  async create(principal: Principal, request: CreateRequest): Promise<Given> {
    const { signal } = new AbortController();
    const { record } = await answered(() => this.#core.allocator.createSandbox(principal, request, signal));
    return { principal, request, record };
  }

  /** Opens a session by the claim that was given, as a data token names it; false when that is refused. */
  async tryUse({ principal, record }: Given): Promise<boolean> {
    const claimId = record.claim?.claimId ?? '';
    try {
      const grant = { ...principal, claimId };
      const session = await answered(() => this.#core.allocator.openSession(grant, record.id));
      session.close();
    } catch (error) {
      if (!isWarmpoolError(error) || !refused.has(error.code)) throw error;
      this.refusals += 1;
      return false;
    }
    const claims = this.usedBy.get(record.id) ?? new Set();
    this.usedBy.set(record.id, claims.add(claimId));
    return true;
  }

  /** Uses what was given, or what the same request is given then. */
  async use(given: Given): Promise<Given> {
    let now = given;
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      if (await this.tryUse(now)) return now;
      // The node tells the store whose it is, and that may be on its way.
      await elapse(pauseMs);
      now = await this.create(given.principal, given.request);
    }
    throw new Error(`request ${given.request.requestId} was given nothing that it may use`);
  }
}

/** The answer of a store that is away for a while. */
async function answered<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isWarmpoolError(error) || error.code !== 'STORE_UNAVAILABLE') throw error;
      await elapse(pauseMs);
    }
  }
}

/** It is another claim's, or the store does not know of it. */
const refused: ReadonlySet<string> = new Set(['CLAIM_CONFLICT', 'SANDBOX_NOT_FOUND', 'PERMISSION_DENIED']);
const pauseMs = 50;
/** A reconciling pass comes every 5 s. */
const attemptsMax = 600;

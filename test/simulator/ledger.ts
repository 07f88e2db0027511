/**
 * What the checker knows of one sandbox, from what it saw alone: commands that ran, uses that were let in, objects that
 * came and went.
 */
export interface Life {
  readonly id: string;
  readonly host: string;
  /** The claim that has it by the store's last word; null: none. */
  claim: { readonly claimId: string; readonly tenant: string } | null;
  /** The claim that has used it. */
  boundClaimId: string | null;
  /** Until then it must live, whatever fails: the true time at which the lease that somebody was promised ends. */
  promisedUntilMs: number;
  /** When the store's lease ends: soon after that it must be gone. */
  leaseEndsAtMs: number | null;
  /** Until then its node has seen the lease to last, in its last look but one: the last one may not have come through. */
  nodeKnowsUntilMs: number;
  nodeSawUntilMs: number;
  /** Why it may end at any time: somebody wanted it to, or a fault took it. */
  excuse: string | null;
  /** Whether it is there, as an object on its host. */
  exists: boolean;
  /** When a fault ended it; null: none did. */
  diedAtMs: number | null;
  wasRunning: boolean;
}

/** All of them, by id. */
export class Ledger {
  readonly #lives = new Map<string, Life>();

  life(id: string, host: string): Life {
    const known = this.#lives.get(id);
    if (known) return known;
    const life: Life = {
      id,
      host,
      claim: null,
      boundClaimId: null,
      promisedUntilMs: 0,
      leaseEndsAtMs: null,
      nodeKnowsUntilMs: 0,
      nodeSawUntilMs: 0,
      excuse: null,
      exists: false,
      diedAtMs: null,
      wasRunning: false,
    };
    this.#lives.set(id, life);
    return life;
  }

  find(id: string): Life | undefined {
    return this.#lives.get(id);
  }

  all(): Iterable<Life> {
    return this.#lives.values();
  }

  forget(id: string): void {
    this.#lives.delete(id);
  }
}

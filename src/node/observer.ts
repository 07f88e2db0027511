import type { RuntimeName } from '../domain/pool-spec.ts';
import type { EndReason } from '../domain/sandbox.ts';

/** What the node counts; Metrics is one. */
export interface NodeObserver {
  bootEnded(runtime: RuntimeName, outcome: 'ready' | 'failed' | 'cancelled', seconds: number): void;
  sandboxEnded(reason: EndReason): void;
  orphanDestroyed(runtime: RuntimeName): void;
  /** A claim wanted to use a sandbox that is bound to another one (D7). */
  claimConflict(): void;
}

import type { RuntimeName } from '../domain/pool-spec.ts';
import type { EndReason } from '../domain/sandbox.ts';

/** What the node counts; Metrics is one. */
export interface NodeObserver {
  bootEnded(runtime: RuntimeName, outcome: 'ready' | 'failed' | 'cancelled', seconds: number): void;
  sandboxEnded(reason: EndReason): void;
  orphanDestroyed(runtime: RuntimeName): void;
}

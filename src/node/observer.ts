import type { RuntimeName } from '../domain/pool-spec.ts';
import type { EndReason } from '../domain/sandbox.ts';

/** What the node counts; the composition root turns it into metrics. */
export interface NodeObserver {
  bootEnded(runtime: RuntimeName, outcome: 'ok' | 'failed', seconds: number): void;
  sandboxEnded(reason: EndReason): void;
  orphanDestroyed(): void;
}

import type { EndReason } from '../domain/sandbox.ts';
import type { EmptyReason } from '../store/pool-store.ts';

/** What the allocator counts; Metrics is one. */
export interface AllocatorObserver {
  claimEnded(
    outcome: 'warm' | 'cold' | 'no_capacity' | 'over_limit' | 'failed' | 'cancelled',
    seconds: number,
  ): void;
  /**
   * `not_as_asked`: none that is kept ready is as the claim wants it. `node_lost`: beside the miss that its cold start
   * began with.
   */
  missed(cause: EmptyReason | 'not_as_asked' | 'over_limit' | 'node_lost'): void;
  execEnded(outcome: 'exited' | 'signalled' | 'timed_out' | 'refused' | 'lost', seconds: number): void;
  sandboxEnded(reason: EndReason): void;
  indexHealed(count: number): void;
  dropped(what: 'output_bytes', count: number): void;
}

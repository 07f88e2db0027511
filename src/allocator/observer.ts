import type { EndReason } from '../domain/sandbox.ts';

/** What the allocator counts; Metrics is one. */
export interface AllocatorObserver {
  claimEnded(outcome: 'warm' | 'cold' | 'no_capacity' | 'failed' | 'cancelled', seconds: number): void;
  missed(cause: 'no_ready' | 'max_total'): void;
  execEnded(outcome: 'exited' | 'signalled' | 'timed_out' | 'refused' | 'lost', seconds: number): void;
  sandboxEnded(reason: EndReason): void;
  indexHealed(count: number): void;
  dropped(what: 'output_bytes', count: number): void;
}

import type { EndReason } from '../domain/sandbox.ts';

/** What the allocator counts; the composition root turns it into metrics. */
export interface AllocatorObserver {
  claimEnded(outcome: 'hit' | 'cold', seconds: number): void;
  missed(why: 'no_ready' | 'max_total'): void;
  execEnded(outcome: 'exited' | 'signalled' | 'timed_out', seconds: number): void;
  sandboxEnded(reason: EndReason): void;
  indexHealed(count: number): void;
}

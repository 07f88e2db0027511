import type { Summary } from './measure/samples.ts';

/** What one subject gave on one adapter: figures, the gates they are held against, and what a reader must know. */
export type Outcome = Measured | Skipped;

export interface Measured {
  readonly kind: 'measured';
  /** As in the table of gates: S1, S10, micro. */
  readonly subject: string;
  /** The adapter or adapters it ran on; empty when there is no choice. */
  readonly on: string;
  readonly figures: readonly Figure[];
  readonly gates: readonly Gate[];
  readonly notes: readonly string[];
}

export interface Skipped {
  readonly kind: 'skipped';
  readonly subject: string;
  readonly on: string;
  readonly why: string;
}

export type Figure = Spread | Single;

/** Raw percentiles. */
export interface Spread extends Summary {
  readonly kind: 'spread';
  readonly name: string;
  readonly unit: string;
}

export interface Single {
  readonly kind: 'single';
  readonly name: string;
  readonly unit: string;
  readonly value: number;
}

export interface Gate {
  /** What is compared, such as `p50 ≤ 1.5 × F1`. */
  readonly rule: string;
  /** Both sides with their units, as they were computed. */
  readonly computed: string;
  readonly measured: number;
  readonly limit: number;
  readonly verdict: 'ok' | 'MISSED';
}

export function spread(name: string, summary: Summary, unit = 'ms'): Spread {
  return { kind: 'spread', name, unit, ...summary };
}

export function single(name: string, value: number, unit: string): Single {
  return { kind: 'single', name, unit, value };
}

export function atMost(rule: string, measured: number, limit: number, computed: string): Gate {
  return { rule, computed, measured, limit, verdict: measured <= limit ? 'ok' : 'MISSED' };
}

export function atLeast(rule: string, measured: number, limit: number, computed: string): Gate {
  return { rule, computed, measured, limit, verdict: measured >= limit ? 'ok' : 'MISSED' };
}

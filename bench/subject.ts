import type { BenchOptions } from './options.ts';
import type { Outcome } from './outcome.ts';

/** One row of the table of gates. It runs on every adapter it can and says which it had to leave out. */
export interface Subject {
  readonly id: string;
  /** Other ids of `--only` that it answers for, measured in the same run. */
  readonly with?: readonly string[];
  readonly run: (bench: Bench) => Promise<readonly Outcome[]>;
}

/** What a subject gets from the run. */
export interface Bench {
  readonly options: BenchOptions;
  /** Aborts on SIGINT and SIGTERM: a subject then stops what it has started. */
  readonly signal: AbortSignal;
  /** Says to a person how far it is; a line on stderr. */
  readonly progress: (sentence: string) => void;
}

/** Thrown where a part of the host is missing; the run goes on without what needs it. */
export class PartMissing extends Error {}

export function skipped(subject: string, on: string, why: string): Outcome {
  return { kind: 'skipped', subject, on, why };
}

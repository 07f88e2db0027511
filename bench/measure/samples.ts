/** How one thing's durations (or any figures) are spread. Nothing is trimmed: a pause of the collector counts. */
export interface Summary {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

export class Samples {
  readonly #values: number[] = [];

  add(value: number): void {
    this.#values.push(value);
  }

  get count(): number {
    return this.#values.length;
  }

  summary(): Summary {
    const sorted = Float64Array.from(this.#values).sort();
    const percentile = (percent: number) => percentileOf(sorted, percent);
    return {
      count: sorted.length,
      p50: percentile(50),
      p95: percentile(95),
      p99: percentile(99),
      max: percentile(100),
    };
  }
}

/** Nearest rank, as the native floor has it: always a value that was measured. NaN when nothing was. */
function percentileOf(sorted: Float64Array, percent: number): number {
  const rank = Math.ceil((sorted.length * percent) / 100);
  return sorted[Math.max(rank, 1) - 1] ?? Number.NaN;
}

export function medianOf(values: readonly number[]): number {
  return percentileOf(Float64Array.from(values).sort(), 50);
}

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/**
 * Metrics whose labels can only take values of closed sets, checked by the compiler: a sandbox id, a tenant or an error
 * text as a label would grow the registry without bound. Every combination is there from the start, at zero, so that a
 * rate over the first event is right.
 */
type LabelSets = Readonly<Record<string, readonly string[]>>;
type LabelValues<Labels extends LabelSets> = { readonly [Name in keyof Labels]: Labels[Name][number] };

export class ClosedCounter<const Labels extends LabelSets> {
  readonly #counter: Counter;

  constructor(registry: Registry, name: string, help: string, labels: Labels) {
    this.#counter = new Counter({ name, help, labelNames: Object.keys(labels), registers: [registry] });
    for (const values of combinations(labels)) this.#counter.inc(values, 0);
  }

  add(values: LabelValues<Labels>, amount = 1): void {
    this.#counter.inc({ ...values }, amount);
  }
}

/** A level of now: goes up and down. */
export class ClosedGauge<const Labels extends LabelSets> {
  readonly #gauge: Gauge;

  constructor(registry: Registry, name: string, help: string, labels: Labels) {
    this.#gauge = new Gauge({ name, help, labelNames: Object.keys(labels), registers: [registry] });
    for (const values of combinations(labels)) this.#gauge.set(values, 0);
  }

  add(values: LabelValues<Labels>, change: number): void {
    this.#gauge.inc({ ...values }, change);
  }
}

export class ClosedHistogram<const Labels extends LabelSets> {
  readonly #histogram: Histogram;

  constructor(registry: Registry, name: string, help: string, labels: Labels, buckets: readonly number[]) {
    const labelNames = Object.keys(labels);
    this.#histogram = new Histogram({ name, help, labelNames, buckets: [...buckets], registers: [registry] });
    for (const values of combinations(labels)) this.#histogram.zero(values);
  }

  observe(values: LabelValues<Labels>, seconds: number): void {
    this.#histogram.observe({ ...values }, seconds);
  }
}

/**
 * Gauges by pool: the set of pools is closed too, but it changes on reload. All processes read them from one store, so of
 * several that answer together the first one's are said, and not their sum.
 */
export class PoolGauge {
  readonly #gauge: Gauge;

  constructor(registry: Registry, name: string, help: string) {
    this.#gauge = new Gauge({
      ...{ name, help, labelNames: ['pool'], registers: [registry] },
      aggregator: 'first',
    });
  }

  set(pool: string, value: number): void {
    this.#gauge.set({ pool }, value);
  }

  remove(pool: string): void {
    this.#gauge.remove({ pool });
  }
}

function combinations(labels: LabelSets): Record<string, string>[] {
  return Object.entries(labels).reduce<Record<string, string>[]>(
    (all, [name, values]) => all.flatMap((base) => values.map((value) => ({ ...base, [name]: value }))),
    [{}],
  );
}

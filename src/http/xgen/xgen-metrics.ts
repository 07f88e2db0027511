import { Counter, type CounterConfiguration, Gauge, Histogram, Registry } from 'prom-client';
import type { PoolView } from '../../allocator/api.ts';
import type { XgenCall, XgenObserver } from '../../data-plane/xgen/xgen-observer.ts';
import type { SandboxState } from '../../domain/sandbox.ts';
import type { Figures } from '../../observability/figures.ts';
import { statusOf, xgenStatuses } from './tenant-sandboxes.ts';

/**
 * What the published xgen API counts, under its own names. Labels are patterns of routes and codes, never ids. Gauges are
 * asked for when they are read, so that they cannot drift; what the pools have counted is the store's, and survives us.
 */
export class XgenMetrics implements XgenObserver {
  readonly #sources: XgenMetricsSources;
  readonly #registry = new Registry();
  readonly #requests = this.#counter(
    'xgen_http_requests_total',
    'Requests by method, route pattern and status.',
    'method',
    'path',
    'status',
  );
  readonly #v1Requests = this.#counter('xgen_api_v1_requests_total', 'Requests of v1 by route.', 'route');
  readonly #durations = new Histogram({
    name: 'xgen_http_request_duration_seconds',
    help: 'How long requests took.',
    labelNames: ['method', 'path'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.#registry],
  });
  readonly #boots = new Histogram({
    name: 'xgen_sandbox_pod_create_duration_seconds',
    help: 'How long creates took that had to boot a sandbox.',
    buckets: [0.1, 0.5, 1, 2, 5, 10, 30],
    registers: [this.#registry],
  });
  readonly #created = this.#counter('xgen_sandbox_create_total', 'Sandboxes that were created.');
  readonly #deleted = this.#counter(
    'xgen_sandbox_delete_total',
    'Sandboxes that were removed, expiry included.',
  );
  readonly #tokens = this.#counter('xgen_auth_token_generated_total', 'Tokens that were given out.');
  readonly #authFailures = this.#counter(
    'xgen_auth_failures_total',
    'Requests without a good credential, by what was wrong with it.',
    'reason',
  );
  readonly #errorsDropped = this.#counter(
    'xgen_ws_errors_dropped_total',
    'Errors about frames that clients must not be sent one for.',
  );
  readonly #claims = this.#ofStore(Counter, 'xgen_warm_pool_claims_total', 'Sandboxes taken from the pools.');
  readonly #failedFills = this.#ofStore(
    Counter,
    'xgen_warm_pool_replenish_failures_total',
    'Boots that failed.',
  );
  readonly #active = this.#ofStore(
    Gauge,
    'xgen_sandboxes_active',
    'Sandboxes in use: starting, running or stopping.',
  );
  readonly #connections = this.#gauge('xgen_ws_connections_active', 'Open sockets of this dialect.');
  readonly #available = this.#ofStore(Gauge, 'xgen_warm_pool_available', 'Ready sandboxes.', 'template');
  readonly #target = this.#ofStore(Gauge, 'xgen_warm_pool_target', 'How many the pool wants.', 'template');
  readonly #byTemplate = this.#ofStore(Gauge, 'xgen_sandboxes_by_template', 'Sandboxes in use.', 'template');
  readonly #byStatus = this.#gauge('xgen_sandboxes_by_status', 'Claimed sandboxes of this node.', 'status');

  constructor(sources: XgenMetricsSources) {
    this.#sources = sources;
  }

  answered({ version, method, path, status, seconds, failure }: XgenCall): void {
    this.#request(method, path, status, seconds);
    if (version === 'v1') this.#v1Requests.inc({ route: path });
    // One of the sentences of a 401, which are few.
    if (failure?.code === 'UNAUTHORIZED') this.#authFailures.inc({ reason: failure.message });
  }

  previewAnswered(method: string, status: number, seconds: number): void {
    this.#request(method, 'preview', status, seconds);
  }

  errorDropped(): void {
    this.#errorsDropped.inc();
  }

  created(): void {
    this.#created.inc();
  }

  /** For a create, after so long. */
  booted(seconds: number): void {
    this.#boots.observe(seconds);
  }

  /** Once for each sandbox that was claimed. */
  deleted(): void {
    this.#deleted.inc();
  }

  tokenIssued(): void {
    this.#tokens.inc();
  }

  async expose(): Promise<string> {
    await this.#gather();
    return this.#registry.metrics();
  }

  /** The same, for another process to put together with its own. */
  async figures(): Promise<Figures> {
    await this.#gather();
    return this.#registry.getMetricsAsJSON();
  }

  /** While the store is away the last values stand. */
  async #gather(): Promise<void> {
    this.#connections.set(this.#sources.connections());
    try {
      const [pools, states] = await Promise.all([this.#sources.pools(), this.#sources.ownStates()]);
      this.#setPools(pools);
      for (const status of xgenStatuses) {
        if (status === 'stopped') continue;
        const count = states.filter((state) => statusOf(state) === status).length;
        this.#byStatus.set({ status }, count);
      }
    } catch {
      // The rest is still worth a scrape.
    }
  }

  #setPools(pools: readonly PoolView[]): void {
    const inUse = (pool: PoolView) => Math.max(0, pool.live - pool.ready - pool.starting);
    for (const gauge of [this.#available, this.#target, this.#byTemplate]) gauge.reset();
    for (const pool of pools) {
      this.#available.set({ template: pool.name }, pool.ready);
      this.#target.set({ template: pool.name }, pool.target);
      this.#byTemplate.set({ template: pool.name }, inUse(pool));
    }
    this.#active.set(sum(pools.map(inUse)));
    this.#claims.reset();
    this.#claims.inc(sum(pools.map(({ counters }) => counters.hits)));
    this.#failedFills.reset();
    this.#failedFills.inc(sum(pools.map(({ counters }) => counters.startsFailed)));
  }

  #request(method: string, path: string, status: number, seconds: number): void {
    const known = methods.has(method) ? method : 'OTHER';
    this.#requests.inc({ method: known, path, status });
    this.#durations.observe({ method: known, path }, seconds);
  }

  #counter(name: string, help: string, ...labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, ...labelNames: string[]): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.#registry] });
  }

  /** All processes read the same: of several that answer together the first one's are said, and not their sum. */
  #ofStore<T extends Counter | Gauge>(
    kind: new (options: CounterConfiguration<string>) => T,
    name: string,
    help: string,
    ...labelNames: string[]
  ): T {
    return new kind({ name, help, labelNames, registers: [this.#registry], aggregator: 'first' });
  }
}

export interface XgenMetricsSources {
  readonly pools: () => Promise<readonly PoolView[]>;
  /** Of the claimed sandboxes of this node, whoever's they are; those of a fleet are the sum over its nodes. */
  readonly ownStates: () => Promise<readonly SandboxState[]>;
  readonly connections: () => number;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** Whatever else a client makes up is one label. */
const methods: ReadonlySet<string> = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']);

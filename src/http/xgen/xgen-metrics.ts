import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/**
 * What the published xgen API counts, under its own names. Labels are patterns of routes and codes, never ids. Gauges are
 * asked for when they are read, so that they cannot drift.
 */
export class XgenMetrics {
  readonly #registry = new Registry();
  readonly #requests = new Counter({
    name: 'xgen_http_requests_total',
    help: 'Requests by method, route pattern and status.',
    labelNames: ['method', 'path', 'status'],
    registers: [this.#registry],
  });
  readonly #durations = new Histogram({
    name: 'xgen_http_request_duration_seconds',
    help: 'How long requests took.',
    labelNames: ['method', 'path'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.#registry],
  });
  readonly #created = this.#counter('xgen_sandbox_create_total', 'Sandboxes that were created.');
  readonly #deleted = this.#counter(
    'xgen_sandbox_delete_total',
    'Sandboxes that were removed, expiry included.',
  );
  readonly #tokens = this.#counter('xgen_auth_token_generated_total', 'Tokens that were given out.');
  readonly #authFailures = new Counter({
    name: 'xgen_auth_failures_total',
    help: 'Requests without a good credential, by what was wrong with it.',
    labelNames: ['reason'],
    registers: [this.#registry],
  });

  constructor(sources: XgenMetricsSources) {
    const registers = [this.#registry];
    new Gauge({
      name: 'xgen_sandboxes_active',
      help: 'Sandboxes in use: starting, running or stopping.',
      registers,
      async collect() {
        this.set(await sources.activeSandboxes());
      },
    });
    new Gauge({
      name: 'xgen_ws_connections_active',
      help: 'Open sockets of this dialect.',
      registers,
      collect() {
        this.set(sources.connections());
      },
    });
  }

  answered(method: string, path: string, status: number, seconds: number): void {
    this.#requests.inc({ method: methods.has(method) ? method : 'OTHER', path, status });
    this.#durations.observe({ method: methods.has(method) ? method : 'OTHER', path }, seconds);
  }

  created(): void {
    this.#created.inc();
  }

  /** Once for each sandbox that was claimed. */
  deleted(): void {
    this.#deleted.inc();
  }

  tokenIssued(): void {
    this.#tokens.inc();
  }

  /** `reason`: one of the sentences of a 401, which are few. */
  unauthorized(reason: string): void {
    this.#authFailures.inc({ reason });
  }

  expose(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.#registry] });
  }
}

export interface XgenMetricsSources {
  readonly activeSandboxes: () => Promise<number>;
  readonly connections: () => number;
}

/** Whatever else a client makes up is one label. */
const methods: ReadonlySet<string> = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']);

import { hkdfSync } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { HttpBindings } from '@hono/node-server';
import type { Context, Hono } from 'hono';
import type { AllocatorApi, Principal } from '../../allocator/api.ts';
import type { ApiKeys } from '../../auth/api-keys.ts';
import type { DataKey } from '../../auth/data-key.ts';
import type { DataTokens } from '../../auth/data-token.ts';
import { XgenTokens } from '../../auth/xgen-tokens.ts';
import { ClientAddresses } from '../../data-plane/xgen/client-addresses.ts';
import { RateLimit } from '../../data-plane/xgen/rate-limit.ts';
import { XgenCredentials } from '../../data-plane/xgen/xgen-credentials.ts';
import type { XgenObserver } from '../../data-plane/xgen/xgen-observer.ts';
import { parseXgenAddress, XgenRoute, type XgenRouteDeps } from '../../data-plane/xgen/xgen-route.ts';
import type { Clock } from '../../domain/clock.ts';
import type { SandboxState } from '../../domain/sandbox.ts';
import type { Log } from '../../observability/log.ts';
import { AdminRoutes } from './admin-routes.ts';
import { AuditLog } from './audit-log.ts';
import { PreviewProxy } from './preview-proxy.ts';
import { SandboxRoutes } from './sandbox-routes.ts';
import { xgenApp } from './xgen-app.ts';
import { XgenMetrics } from './xgen-metrics.ts';

export interface XgenDialectDeps {
  readonly allocator: AllocatorApi;
  readonly keys: ApiKeys;
  readonly dataTokens: DataTokens;
  /** Every process with this key accepts the tokens of the others. */
  readonly dataKey: DataKey;
  readonly clock: Clock;
  readonly observer: XgenRouteDeps['observer'];
  /** Of the claimed sandboxes of this node, whoever's they are. */
  readonly ownStates: () => Promise<readonly SandboxState[]>;
  /** Whose a sandbox is; null for one that nobody has. */
  readonly ownerOf: (sandboxId: string) => Promise<string | null>;
  readonly log: Log;
}

export interface XgenDialectOptions {
  /** What addresses in answers begin with; null: as the caller has reached us. */
  readonly externalUrl: string | null;
  /** Where sandboxes' ports are shown, with its port if that is not the usual one; null: below this host's own name. */
  readonly previewDomain: string | null;
  /** Accepted requests of one client in a minute; 0: no limit. */
  readonly requestsPerMinuteMax: number;
  /** `public`: whoever knows the address of a sandbox's port may use it. */
  readonly previewAuth: 'required' | 'public';
  /** Addresses and subnets whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
}

/** The xgen dialect of one service: its routes, its sockets, and what both of them know of callers. */
export class XgenDialect implements AsyncDisposable {
  readonly app: Hono;
  readonly metrics: XgenMetrics;
  readonly #sockets: XgenRoute;
  readonly #preview: PreviewProxy;

  constructor(deps: XgenDialectDeps, options: XgenDialectOptions) {
    const { allocator, clock, log, observer, ownerOf } = deps;
    const tokens = new XgenTokens(clock, xgenTokenSecret(deps.dataKey));
    const credentials = new XgenCredentials({ keys: deps.keys, tokens, dataTokens: deps.dataTokens });
    const rateLimit = new RateLimit(clock, options.requestsPerMinuteMax);
    const addresses = new ClientAddresses(options.trustedProxies);
    const audit = new AuditLog(clock);
    this.metrics = new XgenMetrics({
      pools: () => allocator.listPools(nobody),
      ownStates: deps.ownStates,
      connections: () => this.#sockets.size,
    });
    const xgenObserver: XgenObserver = {
      answered: (call) => {
        this.metrics.answered(call);
        audit.add(call);
      },
      errorDropped: () => this.metrics.errorDropped(),
    };
    const socketDeps = { allocator, credentials, rateLimit, clock, observer, xgenObserver, addresses, log };
    this.#sockets = new XgenRoute(socketDeps);
    this.#preview = new PreviewProxy(
      { allocator, clock, credentials, ownerOf, addresses, log },
      { domain: options.previewDomain ?? 'localhost', auth: options.previewAuth },
    );
    this.app = xgenApp({
      routes: new SandboxRoutes(
        { allocator, clock, booted: (seconds) => this.metrics.booted(seconds) },
        { externalUrl: options.externalUrl, previewDomain: options.previewDomain },
      ),
      admin: new AdminRoutes({ allocator, audit }),
      credentials,
      tokens,
      rateLimit,
      metrics: this.metrics,
      observer: xgenObserver,
      log,
      remoteAddress: (c: Context<{ Bindings: HttpBindings }>) => addresses.of(c.env.incoming),
    });
  }

  /** Requests for the ports of sandboxes. False: it is not one of them, and was not touched. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const startedMs = performance.now();
    if (!this.#preview.handle(request, response)) return false;
    response.once('close', () => {
      const seconds = (performance.now() - startedMs) / 1_000;
      this.metrics.previewAnswered(request.method ?? '', response.statusCode, seconds);
    });
    return true;
  }

  /** False: the upgrade is not for this dialect, and was not touched. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    if (this.#preview.upgrade(request, socket, head)) return true;
    const address = parseXgenAddress(request.url ?? '');
    if (address === null || offers(request, nativeSubprotocol)) return false;
    void this.#sockets.upgrade(request, socket, head, address);
    return true;
  }

  drain(graceMs: number): Promise<void> {
    return this.#sockets.drain(graceMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#sockets[Symbol.asyncDispose]();
  }
}

function offers(request: IncomingMessage, subprotocol: string): boolean {
  const offered = request.headers['sec-websocket-protocol'] ?? '';
  return offered.split(',').some((each) => each.trim() === subprotocol);
}

/** Of the same key as data tokens, and good for nothing else. */
export function xgenTokenSecret({ privateKey }: DataKey): Uint8Array {
  const key = privateKey.export({ type: 'pkcs8', format: 'der' });
  return new Uint8Array(hkdfSync('sha256', key, '', 'warmpool xgen tokens', 32));
}

/** At the address of this dialect it gives the native session instead. */
const nativeSubprotocol = 'warmpool.v1';
/** Pools belong to every tenant. */
const nobody: Principal = { tenant: '', scopes: new Set() };

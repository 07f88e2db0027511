import { randomUUID } from 'node:crypto';
import { type Context, Hono } from 'hono';
import type { XgenCaller, XgenTokens } from '../../auth/xgen-tokens.ts';
import { type RateLimit, xgenClientOf } from '../../data-plane/xgen/rate-limit.ts';
import type { XgenCredentials } from '../../data-plane/xgen/xgen-credentials.ts';
import {
  forbidden,
  tooManyRequests,
  unexpectedFailure,
  XgenFailure,
  type XgenVersion,
  xgenErrorBody,
  xgenFailureOf,
} from '../../data-plane/xgen/xgen-failure.ts';
import type { XgenObserver } from '../../data-plane/xgen/xgen-observer.ts';
import { isWarmpoolError } from '../../domain/errors.ts';
import type { Log } from '../../observability/log.ts';
import { prefersText } from './accept.ts';
import type { AdminRoutes } from './admin-routes.ts';
import { BodyReader } from './body-reader.ts';
import { isPermitted, type XgenPermission } from './permissions.ts';
import { readBody } from './request-body.ts';
import type { SandboxRoutes } from './sandbox-routes.ts';
import { timeOf } from './sandbox-view.ts';
import type { XgenMetrics } from './xgen-metrics.ts';

export interface XgenAppDeps {
  readonly routes: SandboxRoutes;
  readonly admin: AdminRoutes;
  readonly credentials: XgenCredentials;
  readonly tokens: XgenTokens;
  readonly rateLimit: RateLimit;
  readonly metrics: XgenMetrics;
  readonly observer: XgenObserver;
  readonly log: Log;
  /** The other end of the connection, without its port. */
  readonly remoteAddress: (context: Context) => string;
}

/** One request of this dialect, as a route sees it. */
export interface XgenRequest {
  readonly version: XgenVersion;
  readonly caller: XgenCaller;
  /** Of the path; empty where it names none. */
  readonly sandboxId: string;
  readonly query: URLSearchParams;
  readonly body: BodyReader;
  /** `http://host:port`, as the caller has reached it. */
  readonly origin: string;
  /** Aborts when the caller has gone. */
  readonly left: AbortSignal;
}

export interface XgenAnswer {
  readonly status: 200 | 201 | 204;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Of the sandbox that the request has made. */
  readonly sandboxId?: string;
}

/**
 * The routes of the xgen dialect, at the root and below `/xgen` alike. Each request gets its id, its caller, its place in
 * the rate limit and its permission before its route sees it, and every failure the same envelope.
 */
export function xgenApp(deps: XgenAppDeps): Hono {
  const app = new Hono();
  app.get('/xgen/healthz', (c) => c.text('ok', 200, ownHeaders()));
  app.get('/xgen/metrics', async (c) => c.text(await deps.metrics.expose(), 200, ownHeaders()));
  // At the root another dialect's is JSON.
  app.get('/healthz', (c, next) =>
    prefersText(c.req.header('accept')) ? c.text('ok', 200, ownHeaders()) : next(),
  );
  for (const base of ['', '/xgen']) {
    for (const version of ['v1', 'v2'] as const) mount(app, `${base}/api/${version}`, version, deps);
  }
  app.options('/xgen/*', (c) => c.body(null, 204, ownHeaders()));
  app.all('/xgen/*', (c) => serve(c, 'v1', 'unmatched', deps, nothingHere));
  return app;
}

function mount(app: Hono, base: string, version: XgenVersion, deps: XgenAppDeps): void {
  const { routes, admin } = deps;
  /** As clients of metrics know a route: the same for both places where it is mounted. */
  const patternOf = (path: string) => path.replace(/^\/xgen/, '').replace(':id', '{id}');
  const on = (
    method: string,
    path: string,
    permission: XgenPermission,
    handle: (request: XgenRequest) => Promise<XgenAnswer>,
  ) =>
    app.on(method, path, (c) =>
      serve(c, version, patternOf(path), deps, async (call) =>
        handle(await admit(c, version, permission, deps, call)),
      ),
    );
  // Other dialects may have other names beside these of v1 at the root.
  const ours =
    version === 'v2' ? [`${base}/*`] : ['auth', 'sandboxes', 'admin'].map((name) => `${base}/${name}/*`);
  for (const path of ours) app.options(path, (c) => c.body(null, 204, ownHeaders()));

  app.post(`${base}/auth/token`, (c) =>
    serve(c, version, `/api/${version}/auth/token`, deps, async (call) => {
      count(deps, `address ${deps.remoteAddress(c)}`);
      return token(await readBody(c), version, deps, call);
    }),
  );
  const all = `${base}/sandboxes`;
  const one = `${all}/:id`;
  on('POST', all, 'sandbox:create', async (request) => {
    const created = await routes.create(request);
    deps.metrics.created();
    return created;
  });
  on('GET', all, 'sandbox:read', (request) => routes.list(request));
  on('GET', one, 'sandbox:read', (request) => routes.get(request));
  on('DELETE', one, 'sandbox:delete', (request) => routes.remove(request));
  const part = (name: string) => `${one}/${name}`;
  on('POST', part('keepalive'), 'sandbox:write', (request) => routes.keepAlive(request));
  on('POST', part('exec'), 'sandbox:exec', (request) => routes.exec(request));
  on('GET', part('services'), 'sandbox:read', (request) => routes.services(request));
  app.get(part('ws'), (c) =>
    serve(c, version, patternOf(part('ws')), deps, async () => {
      throw new XgenFailure('INVALID_REQUEST', 'this address is for WebSocket upgrades');
    }),
  );
  on('GET', `${base}/admin/summary`, 'admin:read', (request) => admin.summary(request));
  on('GET', `${base}/admin/metrics`, 'admin:read', (request) => admin.metrics(request));
  on('GET', `${base}/admin/warm-pool`, 'admin:read', (request) => admin.warmPool(request));
  on('GET', `${base}/admin/audit-logs`, 'admin:read', (request) => admin.auditLogs(request));
  for (const path of ours) app.all(path, (c) => serve(c, version, 'unmatched', deps, nothingHere));
}

/** What is known of a call so far, for its answer and for whoever hears of it. */
interface CallUnderway {
  caller: XgenCaller | null;
  body: BodyReader;
}

async function serve(
  c: Context,
  version: XgenVersion,
  path: string,
  deps: XgenAppDeps,
  work: (call: CallUnderway) => Promise<XgenAnswer>,
): Promise<Response> {
  const startedMs = performance.now();
  const call: CallUnderway = { caller: null, body: new BodyReader({}) };
  const requestId = randomUUID();
  const headers = ownHeaders(requestId);
  let response: Response;
  let failure: XgenFailure | null = null;
  let sandboxId = c.req.param('id') ?? '';
  try {
    const answer = await work(call);
    sandboxId = answer.sandboxId ?? sandboxId;
    const all = { ...headers, ...ignoredHeader(call.body), ...answer.headers };
    response =
      answer.status === 204 ? c.body(null, 204, all) : c.json(answer.body ?? null, answer.status, all);
  } catch (error) {
    failure = failureOf(error, version, sandboxId, deps.log);
    response = failureResponse(failure, version, requestId, headers);
  }
  deps.observer.answered({
    version,
    method: c.req.method,
    path,
    status: response.status,
    seconds: (performance.now() - startedMs) / 1_000,
    caller: call.caller,
    remoteAddress: deps.remoteAddress(c),
    sandboxId,
    failure,
  });
  return response;
}

async function nothingHere(): Promise<never> {
  throw new XgenFailure('ROUTE_NOT_FOUND', 'there is nothing at this path');
}

/** The caller is known, has room in the rate limit, and may do this. */
async function admit(
  c: Context,
  version: XgenVersion,
  permission: XgenPermission,
  deps: XgenAppDeps,
  call: CallUnderway,
): Promise<XgenRequest> {
  const address = `address ${deps.remoteAddress(c)}`;
  try {
    call.caller = deps.credentials.ofHeader(c.req.header('authorization'));
  } catch (error) {
    count(deps, address);
    throw error;
  }
  count(deps, xgenClientOf(call.caller, address));
  if (!isPermitted(call.caller.role, permission)) throw forbidden(permission);
  call.body = await readBody(c);
  const url = new URL(c.req.url);
  return {
    version,
    caller: call.caller,
    sandboxId: c.req.param('id') ?? '',
    query: url.searchParams,
    body: call.body,
    origin: url.origin,
    left: c.req.raw.signal,
  };
}

function count(deps: XgenAppDeps, client: string): void {
  const retryAfterMs = deps.rateLimit.enter(client);
  if (retryAfterMs !== undefined) throw tooManyRequests(retryAfterMs);
}

function token(
  body: BodyReader,
  version: XgenVersion,
  { credentials, tokens, metrics }: XgenAppDeps,
  call: CallUnderway,
): XgenAnswer {
  call.body = body;
  const key = body.value('api_key');
  if (typeof key !== 'string' || key === '') throw new XgenFailure('INVALID_REQUEST', 'api_key is missing');
  call.caller = credentials.ofKey(key);
  const issued = tokens.issue(call.caller);
  metrics.tokenIssued();
  const expiry =
    version === 'v1' ? { expires_at: timeOf(issued.expiresAtMs) } : { expires_at_ms: issued.expiresAtMs };
  return { status: 200, body: { token: issued.token, ...expiry } };
}

function failureOf(error: unknown, version: XgenVersion, sandboxId: string, log: Log): XgenFailure {
  if (error instanceof XgenFailure) return error;
  if (isWarmpoolError(error)) return xgenFailureOf(error, version, sandboxId === '' ? undefined : sandboxId);
  log.error({ err: error }, 'xgen: a request failed');
  return unexpectedFailure();
}

function failureResponse(
  failure: XgenFailure,
  version: XgenVersion,
  requestId: string,
  headers: Readonly<Record<string, string>>,
): Response {
  const retryAfterMs = failure.details?.retry_after_ms;
  const retryAfter =
    typeof retryAfterMs === 'number' ? { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) } : {};
  return new Response(JSON.stringify(xgenErrorBody(failure, version, requestId)), {
    status: failure.status,
    headers: { ...headers, ...retryAfter, 'content-type': 'application/json' },
  });
}

function ignoredHeader(body: BodyReader): Readonly<Record<string, string>> {
  const ignored = body.ignored();
  // A name that a caller made up must not end the header it is named in.
  const safe = ignored.map((name) => name.replace(/[^\w.-]/g, '_').slice(0, 64));
  return safe.length === 0 ? {} : { 'x-warmpool-ignored': safe.slice(0, ignoredNamesMax).join(',') };
}

/** What every answer of this dialect carries. */
function ownHeaders(requestId: string = randomUUID()): Record<string, string> {
  return {
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'GET, POST, PUT, DELETE, PATCH, OPTIONS',
    'access-control-allow-headers': 'Content-Type, Authorization',
    'x-request-id': requestId,
  };
}

/** A body of 1 MiB has room for far more names than a header. */
const ignoredNamesMax = 32;

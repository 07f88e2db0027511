import { randomUUID } from 'node:crypto';
import { type Context, Hono } from 'hono';
import type { XgenCaller, XgenRole, XgenTokens } from '../../auth/xgen-tokens.ts';
import { type RateLimit, xgenClientOf } from '../../data-plane/xgen/rate-limit.ts';
import type { XgenCredentials } from '../../data-plane/xgen/xgen-credentials.ts';
import {
  forbidden,
  tooManyRequests,
  XgenFailure,
  type XgenVersion,
  xgenErrorBody,
  xgenFailureOf,
} from '../../data-plane/xgen/xgen-failure.ts';
import { isWarmpoolError } from '../../domain/errors.ts';
import type { Log } from '../../observability/log.ts';
import { BodyReader, isObject } from './body-reader.ts';
import type { SandboxRoutes } from './sandbox-routes.ts';
import { timeOf } from './sandbox-view.ts';
import type { XgenMetrics } from './xgen-metrics.ts';

export interface XgenAppDeps {
  readonly routes: SandboxRoutes;
  readonly credentials: XgenCredentials;
  readonly tokens: XgenTokens;
  readonly rateLimit: RateLimit;
  readonly metrics: XgenMetrics;
  readonly log: Log;
  /** The other end of the connection, without its port. */
  readonly remoteAddress: (context: Context) => string;
}

export type XgenPermission =
  | 'sandbox:create'
  | 'sandbox:read'
  | 'sandbox:write'
  | 'sandbox:delete'
  | 'sandbox:exec';

/** One request of this dialect, as a route sees it. */
export interface XgenRequest {
  readonly version: XgenVersion;
  readonly caller: XgenCaller;
  /** Of the path; empty where it names none. */
  readonly sandboxId: string;
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
}

/**
 * The routes of the xgen dialect, at the root and below `/xgen` alike. Each request gets its id, its caller, its place in
 * the rate limit and its permission before its route sees it, and every failure the same envelope.
 */
export function xgenApp(deps: XgenAppDeps): Hono {
  const app = new Hono();
  for (const base of ['', '/xgen']) {
    for (const version of ['v1', 'v2'] as const) mount(app, `${base}/api/${version}`, version, deps);
  }
  app.get('/xgen/healthz', (c) => c.text('ok'));
  return app;
}

function mount(app: Hono, base: string, version: XgenVersion, deps: XgenAppDeps): void {
  const { routes } = deps;
  const serve = async (c: Context, path: string, work: () => Promise<XgenAnswer>) => {
    const startedMs = performance.now();
    const answered = await answer(c, version, deps, work);
    deps.metrics.answered(c.req.method, path, answered.status, (performance.now() - startedMs) / 1_000);
    return answered;
  };
  /** As clients of metrics know a route: the same for both places where it is mounted. */
  const patternOf = (path: string) => path.replace(/^\/xgen/, '').replace(':id', '{id}');
  for (const name of ['auth', 'sandboxes'])
    app.options(`${base}/${name}/*`, (c) => c.body(null, 204, corsHeaders));
  app.options(`${base}/sandboxes`, (c) => c.body(null, 204, corsHeaders));
  app.post(`${base}/auth/token`, (c) =>
    serve(c, `/api/${version}/auth/token`, async () => {
      count(deps, `address ${deps.remoteAddress(c)}`);
      return token(await readBody(c), version, deps);
    }),
  );
  const all = `${base}/sandboxes`;
  const one = `${all}/:id`;
  const on = (
    method: string,
    path: string,
    permission: XgenPermission,
    handle: (request: XgenRequest) => Promise<XgenAnswer>,
  ) =>
    app.on(method, path, (c) =>
      serve(c, patternOf(path), async () => handle(await admit(c, version, permission, deps))),
    );
  on('POST', all, 'sandbox:create', async (request) => {
    const created = await routes.create(request);
    deps.metrics.created();
    return created;
  });
  on('GET', all, 'sandbox:read', (request) => routes.list(request));
  on('GET', one, 'sandbox:read', (request) => routes.get(request));
  on('DELETE', one, 'sandbox:delete', (request) => routes.remove(request));
  for (const [name, permission, handle] of [
    ['keepalive', 'sandbox:write', (request: XgenRequest) => routes.keepAlive(request)],
    ['exec', 'sandbox:exec', (request: XgenRequest) => routes.exec(request)],
  ] as const) {
    on('POST', `${one}/${name}`, permission, handle);
  }
  on('GET', `${one}/services`, 'sandbox:read', (request) => routes.services(request));
  app.get(`${one}/ws`, (c) =>
    serve(c, patternOf(`${one}/ws`), async () => {
      throw new XgenFailure('INVALID_REQUEST', 'this address is for WebSocket upgrades');
    }),
  );
  const missing = (c: Context) =>
    serve(c, 'unmatched', async () => {
      throw new XgenFailure('ROUTE_NOT_FOUND', 'there is nothing at this path');
    });
  // Other dialects may have other names beside these at the root.
  for (const name of ['auth', 'sandboxes', 'admin']) {
    app.all(`${base}/${name}`, missing);
    app.all(`${base}/${name}/*`, missing);
  }
}

async function answer(
  c: Context,
  version: XgenVersion,
  deps: XgenAppDeps,
  work: () => Promise<XgenAnswer>,
): Promise<Response> {
  const requestId = randomUUID();
  const headers = { ...corsHeaders, 'x-request-id': requestId };
  try {
    const { status, body, headers: own } = await work();
    if (status === 204) return c.body(null, 204, { ...headers, ...own });
    return c.json(body, status, { ...headers, ...own });
  } catch (error) {
    const failure = failureOf(error, c.req.param('id'), deps.log);
    if (failure.status === 401) deps.metrics.unauthorized(failure.message);
    const retryAfterMs = failure.details?.retry_after_ms;
    const retryAfter =
      typeof retryAfterMs === 'number' ? { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) } : {};
    return new Response(JSON.stringify(xgenErrorBody(failure, version, requestId)), {
      status: failure.status,
      headers: { ...headers, ...retryAfter, 'content-type': 'application/json' },
    });
  }
}

/** The caller is known, has room in the rate limit, and may do this. */
async function admit(
  c: Context,
  version: XgenVersion,
  permission: XgenPermission,
  deps: XgenAppDeps,
): Promise<XgenRequest> {
  let caller: XgenCaller;
  try {
    caller = deps.credentials.ofHeader(c.req.header('authorization'));
  } catch (error) {
    count(deps, `address ${deps.remoteAddress(c)}`);
    throw error;
  }
  count(deps, xgenClientOf(caller, `address ${deps.remoteAddress(c)}`));
  if (!permissions[caller.role].has(permission)) throw forbidden(permission);
  return {
    version,
    caller,
    sandboxId: c.req.param('id') ?? '',
    body: await readBody(c),
    origin: new URL(c.req.url).origin,
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
): XgenAnswer {
  const key = body.value('api_key');
  if (typeof key !== 'string' || key === '') throw new XgenFailure('INVALID_REQUEST', 'api_key is missing');
  const issued = tokens.issue(credentials.ofKey(key));
  metrics.tokenIssued();
  const expiry =
    version === 'v1' ? { expires_at: timeOf(issued.expiresAtMs) } : { expires_at_ms: issued.expiresAtMs };
  return { status: 200, body: { token: issued.token, ...expiry } };
}

/** Clients call everything with a content type of JSON, also where they send nothing. */
async function readBody(c: Context): Promise<BodyReader> {
  if (c.req.method === 'GET' || c.req.method === 'DELETE') return new BodyReader({});
  const text = await readText(c.req.raw.body);
  if (text.trim() === '') return new BodyReader({});
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new XgenFailure('INVALID_REQUEST', 'the body is not JSON');
  }
  if (!isObject(body)) throw new XgenFailure('INVALID_REQUEST', 'the body is not a JSON object');
  return new BodyReader(body);
}

/** However long its sender says it is, no more than the limit is held. */
async function readText(body: ReadableStream<Uint8Array> | null): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    bytes += piece.length;
    if (bytes > bodyBytesMax)
      throw new XgenFailure('INVALID_REQUEST', 'the body is over 1 MiB', undefined, 413);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

function failureOf(error: unknown, sandboxId: string | undefined, log: Log): XgenFailure {
  if (error instanceof XgenFailure) return error;
  if (isWarmpoolError(error)) return xgenFailureOf(error, sandboxId);
  log.error({ err: error }, 'xgen: a request failed');
  return new XgenFailure('INTERNAL', 'the request could not be answered');
}

const permissions: Readonly<Record<XgenRole, ReadonlySet<XgenPermission>>> = {
  admin: new Set(['sandbox:create', 'sandbox:read', 'sandbox:write', 'sandbox:delete', 'sandbox:exec']),
  user: new Set(['sandbox:create', 'sandbox:read', 'sandbox:write', 'sandbox:exec']),
  viewer: new Set(['sandbox:read']),
};
const corsHeaders = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, PUT, DELETE, PATCH, OPTIONS',
  'access-control-allow-headers': 'Content-Type, Authorization',
};
const bodyBytesMax = 1_048_576;

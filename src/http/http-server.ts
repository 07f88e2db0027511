import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';

/** Whether this process can serve, and in plain sentences why not. */
export type Readiness =
  | { readonly ready: true }
  | { readonly ready: false; readonly reasons: readonly string[] };

export interface HttpServerDeps {
  readonly metrics: { readonly contentType: string; expose(): Promise<string> };
  readonly readiness: () => Promise<Readiness>;
  /** Routes of whole dialects. They know the sizes of their own bodies. */
  readonly dialects?: readonly Hono[];
  /** Sees each request first. True: it is being answered. */
  readonly onRequest?: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** WebSockets at this port, and whatever else wants to upgrade: answers or ends the connection. Absent: there are none. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export interface HttpServer extends AsyncDisposable {
  /** Where it really listens: the port is the chosen one when 0 was asked for. */
  readonly address: { readonly host: string; readonly port: number };
}

/** Cuts clients that send their headers byte by byte (A15). */
const headersTimeoutMs = 5_000;
const requestTimeoutMs = 10_000;
/** Longer than the 15 s most scrapers poll at, so that they keep their connection. */
const keepAliveTimeoutMs = 20_000;
const headerBytesMax = 16_384;
const headersMax = 100;
/** Nothing but dialects takes a body; what comes is read and dropped up to this. */
const bodyBytesMax = 65_536;
/** Scrapers and probes are a handful, sockets of dialects many more; the rest of the process needs its descriptors. */
const connectionsMax = 4_096;
/** A probe that gets no answer in its own timeout counts as dead; a late readiness is a "not ready" said in time. */
const readinessTimeoutMs = 2_000;
/** How long closing waits for answers in progress. */
const closeTimeoutMs = 2_000;

/** Metrics and probes: `/metrics`, `/healthz` (the process answers), `/readyz` (it can serve). Rejects when it cannot listen. */
export async function startHttpServer(
  deps: HttpServerDeps,
  options: { readonly listen: { readonly host: string; readonly port: number } },
): Promise<HttpServer> {
  const { host, port } = options.listen;
  const answer = getRequestListener(routes(deps).fetch, { overrideGlobalObjects: false });
  const server = createServer(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      connectionsCheckingInterval: 1_000,
      maxHeaderSize: headerBytesMax,
    },
    (request, response) => {
      if (!deps.onRequest?.(request, response)) void answer(request, response);
    },
  );
  server.maxConnections = connectionsMax;
  server.maxHeadersCount = headersMax;
  if (deps.onUpgrade) server.on('upgrade', deps.onUpgrade);
  await listen(server, host, port);
  const bound = server.address() as AddressInfo;
  return {
    address: { host, port: bound.port },
    [Symbol.asyncDispose]: () => close(server),
  };
}

function routes(deps: HttpServerDeps): Hono {
  const app = new Hono();
  for (const dialect of deps.dialects ?? []) app.route('/', dialect);
  app.use(
    bodyLimit({
      maxSize: bodyBytesMax,
      onError: (c) => c.json(failure('TOO_LARGE', 'the body is too large'), 413),
    }),
  );
  app.get('/metrics', async (c) =>
    c.body(await deps.metrics.expose(), 200, { 'content-type': deps.metrics.contentType }),
  );
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', async (c) => {
    const readiness = await readinessInTime(deps.readiness);
    return readiness.ready
      ? c.json({ status: 'ready' })
      : c.json({ status: 'not ready', reasons: readiness.reasons }, 503);
  });
  for (const path of ['/metrics', '/healthz', '/readyz']) {
    app.all(path, (c) =>
      c.json(failure('METHOD_NOT_ALLOWED', 'only GET and HEAD'), 405, { allow: 'GET, HEAD' }),
    );
  }
  app.notFound((c) => c.json(failure('NOT_FOUND', 'there is nothing at this path'), 404));
  app.onError((_error, c) => c.json(failure('INTERNAL', 'the request could not be answered'), 500));
  return app;
}

function failure(code: string, message: string) {
  return { error: { code, message } };
}

async function readinessInTime(readiness: () => Promise<Readiness>): Promise<Readiness> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Readiness>((resolve) => {
    const reasons = [`readiness was not known within ${readinessTimeoutMs / 1_000} s`];
    timer = setTimeout(() => resolve({ ready: false, reasons }), readinessTimeoutMs);
  });
  try {
    return await Promise.race([readiness(), late]);
  } catch {
    return { ready: false, reasons: ['readiness could not be found out'] };
  } finally {
    clearTimeout(timer);
  }
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'the port is already in use' : (error.code ?? error.message);
      reject(
        new Error(`cannot listen on ${host}:${port} for HTTP (WARMPOOL_HTTP_LISTEN): ${why}`, {
          cause: error,
        }),
      );
    });
    server.listen({ host, port }, resolve);
  });
}

/** Answers in progress are finished; a connection goes as soon as it has none. */
async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const retry = setInterval(() => server.closeIdleConnections(), 10);
  const timer = setTimeout(() => server.closeAllConnections(), closeTimeoutMs);
  await closed;
  clearInterval(retry);
  clearTimeout(timer);
}

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, get, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { after, test } from 'node:test';
import { type HttpServer, type Readiness, startHttpServer } from '../../src/http/http-server.ts';
import { Metrics } from '../../src/observability/metrics.ts';

const metrics = new Metrics(['base']);
const listen = { host: '127.0.0.1', port: 0 };

async function start(
  readiness: () => Promise<Readiness> = async () => ({ ready: true }),
): Promise<HttpServer> {
  const server = await startHttpServer({ metrics, readiness }, { listen });
  after(() => server[Symbol.asyncDispose]());
  return server;
}

async function ask(
  server: HttpServer,
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; type: string; text: string }> {
  const response = await fetch(`http://127.0.0.1:${server.address.port}${path}`, init);
  return {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    text: await response.text(),
  };
}

test('/healthz answers as long as the process does, ready or not', async () => {
  const server = await start(async () => ({ ready: false, reasons: ['the store is away'] }));
  assert.deepEqual(await ask(server, '/healthz'), {
    status: 200,
    type: 'application/json',
    text: '{"status":"ok"}',
  });
});

test('/readyz says why it is not ready', async () => {
  const ready = await start();
  assert.equal((await ask(ready, '/readyz')).status, 200);
  const server = await start(async () => ({ ready: false, reasons: ['the store is away', 'draining'] }));
  const answer = await ask(server, '/readyz');
  assert.equal(answer.status, 503);
  assert.deepEqual(JSON.parse(answer.text), {
    status: 'not ready',
    reasons: ['the store is away', 'draining'],
  });
});

test('/readyz says nothing of an error that readiness threw', async () => {
  const server = await start(() => Promise.reject(new Error('redis://:secret@host')));
  const answer = await ask(server, '/readyz');
  assert.equal(answer.status, 503);
  assert.doesNotMatch(answer.text, /secret/);
});

test('D20 a readiness that hangs is "not ready" in time for the probe', async () => {
  const server = await start(() => new Promise(() => {}));
  const answer = await ask(server, '/readyz', { signal: AbortSignal.timeout(60_000) });
  assert.equal(answer.status, 503);
  assert.match(answer.text, /not known within 2 s/);
});

test('/metrics speaks the Prometheus text format', async () => {
  const server = await start();
  const answer = await ask(server, '/metrics');
  assert.equal(answer.status, 200);
  assert.match(answer.type, /^text\/plain; version=0\.0\.4/);
  assert.match(answer.text, /^warmpool_pool_ready\{pool="base"\} 0$/m);
});

test('anything else is a JSON answer: unknown path 404, other method 405', async () => {
  const server = await start();
  const unknown = await ask(server, '/admin?x=<script>');
  assert.equal(unknown.status, 404);
  assert.equal(unknown.type, 'application/json');
  assert.deepEqual(JSON.parse(unknown.text), {
    error: { code: 'NOT_FOUND', message: 'there is nothing at this path' },
  });
  assert.equal((await ask(server, '/metrics', { method: 'POST', body: 'x' })).status, 405);
  assert.equal((await ask(server, '/healthz', { method: 'HEAD' })).status, 200);
});

test('A15 too large headers and bodies are refused', async () => {
  const server = await start();
  assert.equal((await ask(server, '/healthz', { headers: { 'x-long': 'x'.repeat(20_000) } })).status, 431);
  assert.equal((await ask(server, '/healthz', { method: 'POST', body: 'x'.repeat(70_000) })).status, 413);
});

test('A15 a body sent in chunks is counted as it comes', async () => {
  const server = await start();
  const outgoing = request({ port: server.address.port, method: 'POST', path: '/healthz' });
  outgoing.on('error', () => {});
  const answered = once(outgoing, 'response');
  for (let i = 0; i < 20; i++) outgoing.write('x'.repeat(8_192));
  outgoing.end();
  const [response] = await answered;
  response.resume();
  assert.ok([405, 413].includes(response.statusCode));
});

test('A15 a client that is silent in the middle of its headers is cut', { timeout: 60_000 }, async () => {
  const server = await start();
  const socket = connect(server.address.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ');
  let answer = '';
  socket.setEncoding('utf8').on('data', (text) => {
    answer += text;
  });
  await once(socket, 'close');
  assert.match(answer, /^HTTP\/1\.1 408 /);
});

test('a nonsense request does not disturb the next', async () => {
  const server = await start();
  const socket = connect(server.address.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.end('\x16\x03\x01\x02\x00 nonsense\r\n\r\n');
  socket.resume();
  await once(socket, 'close');
  assert.equal((await ask(server, '/healthz')).status, 200);
});

test('an occupied port is a sentence that names the setting', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  after(() => other.close());
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  await assert.rejects(
    startHttpServer(
      { metrics, readiness: async () => ({ ready: true }) },
      { listen: { host: '127.0.0.1', port } },
    ),
    {
      message: `cannot listen on 127.0.0.1:${port} for HTTP (WARMPOOL_HTTP_LISTEN): the port is already in use`,
    },
  );
});

test('D19 closing ends idle connections at once and is fine a second time', async () => {
  const server = await startHttpServer({ metrics, readiness: async () => ({ ready: true }) }, { listen });
  const agent = new Agent({ keepAlive: true });
  const [response] = await once(get({ port: server.address.port, path: '/healthz', agent }), 'response');
  response.resume();
  await once(response, 'end');
  const startedMs = performance.now();
  await server[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  // Less than the five seconds for which Node keeps an idle connection.
  assert.ok(performance.now() - startedMs < 4_000);
  await assert.rejects(fetch(`http://127.0.0.1:${server.address.port}/healthz`));
  agent.destroy();
});

test('D19 closing lets an answer in progress finish', async () => {
  let answerNow: (readiness: Readiness) => void = () => {};
  let asked: () => void = () => {};
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const server = await startHttpServer(
    {
      metrics,
      readiness: () => {
        asked();
        return new Promise((resolve) => {
          answerNow = resolve;
        });
      },
    },
    { listen },
  );
  const answer = ask(server, '/readyz');
  await isAsked;
  const closed = server[Symbol.asyncDispose]();
  answerNow({ ready: true });
  assert.equal((await answer).status, 200);
  await closed;
});

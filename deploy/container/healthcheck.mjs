// The image's HEALTHCHECK: whether the process answers at its HTTP port. Not whether it can serve (`/readyz`): a process
// that waits for its store must not be killed for it. How late an answer may be is the engine's to say (`--timeout`); the
// bound here only keeps an engine that does not end a late check from gathering them.
import { get } from 'node:http';

const listen = process.env.WARMPOOL_HTTP_LISTEN || '127.0.0.1:8080';
const colon = listen.lastIndexOf(':');
const host = listen.slice(0, colon).replace(/^\[|\]$/g, '');
const everyAddress = { '0.0.0.0': '127.0.0.1', '::': '::1' };

const request = get({
  host: everyAddress[host] ?? host,
  port: Number(listen.slice(colon + 1)),
  path: '/healthz',
  timeout: 30_000,
});
request.on('response', (response) => process.exit(response.statusCode === 200 ? 0 : 1));
request.on('timeout', () => process.exit(1));
request.on('error', () => process.exit(1));

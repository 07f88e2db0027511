import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { ConnectionLimits } from '../../src/data-plane/connection-limits.ts';
import { type Refusal, refusal } from '../../src/data-plane/refusal.ts';
import type { UpgradeRequest } from '../../src/data-plane/socket-route.ts';
import { until } from '../support/until.ts';
import { within } from '../support/within.ts';
import { busy, type SocketAdapter, SocketFixture } from './socket-fixture.ts';

/** How upgrades are judged, whichever adapter takes them. */
export function upgradeContract(adapter: SocketAdapter): void {
  describe(`an upgrade by ${adapter.name}`, { skip: adapter.skip }, () => {
    test('reaches the route with all that the client said', async () => {
      const seen: { request: UpgradeRequest; sandboxId: string }[] = [];
      await using fixture = await SocketFixture.start(adapter, {
        admit: async (asked, sandboxId) => {
          seen.push({ request: asked, sandboxId });
          return 'admit';
        },
      });
      const client = await fixture.connect({
        url: `${fixture.url}?token=a.b-c_d&other=%20x`,
        protocols: ['warmpool.v1', 'warmpool.token.abc'],
        headers: { authorization: 'Bearer secret' },
      });
      assert.equal(client.protocol, 'warmpool.v1');
      const [{ request: asked, sandboxId } = assert.fail('nobody asked')] = seen;
      assert.equal(sandboxId, 'box');
      assert.equal(asked.path, '/sandboxes/box');
      assert.equal(asked.query.get('token'), 'a.b-c_d');
      assert.equal(asked.query.get('other'), ' x');
      assert.equal(asked.authorization, 'Bearer secret');
      assert.equal(asked.origin, undefined);
      assert.deepEqual(asked.subprotocols, ['warmpool.v1', 'warmpool.token.abc']);
      assert.match(asked.remoteAddress, /127\.0\.0\.1|0000:0000/);
      client.terminate();
    });

    test('chooses no subprotocol when none was offered', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const client = await fixture.connect();
      assert.equal(client.protocol, '');
      client.terminate();
    });

    test('is refused as HTTP with a JSON body, and the connection is closed', async () => {
      let answer: Refusal = busy;
      await using fixture = await SocketFixture.start(adapter, { admit: async () => answer });
      const unavailable = await refusedUpgrade(fixture.url);
      assert.equal(unavailable.status, 503);
      assert.equal(unavailable.headers['retry-after'], '2');
      assert.equal(unavailable.headers['content-type'], 'application/json');
      assert.deepEqual(JSON.parse(unavailable.body), {
        error: { code: 'STORE_UNAVAILABLE', message: 'try again' },
      });
      answer = refusal(401, 'UNAUTHENTICATED', 'who?');
      const stranger = await refusedUpgrade(fixture.url);
      assert.deepEqual([stranger.status, stranger.headers['www-authenticate']], [401, 'Bearer']);
      assert.equal((await refusedUpgrade(fixture.url.replace('/sandboxes/', '/nowhere/'))).status, 404);
      assert.equal(fixture.door.size, 0);
      assert.deepEqual(fixture.sessions, []);
    });

    test('that fails in the route is answered, and says nothing of why', async () => {
      await using fixture = await SocketFixture.start(adapter, {
        admit: async () => {
          throw new Error('secret inside');
        },
      });
      const { status, body } = await refusedUpgrade(fixture.url);
      assert.equal(status, 500);
      assert.ok(!body.includes('secret'));
    });

    test('A9 is refused for a page of an origin that is not on the list; no Origin is no browser', async () => {
      await using fixture = await SocketFixture.start(adapter, {
        allowedOrigins: ['https://app.example.com', 'http://localhost:3000'],
      });
      for (const origin of [
        'https://evil.example',
        'https://app.example.com.evil.example',
        'https://app.example.com:8443',
        'http://app.example.com',
        'HTTPS://APP.EXAMPLE.COM',
        'null',
      ]) {
        assert.equal((await refusedUpgrade(fixture.url, { origin })).status, 403, origin);
      }
      for (const origin of ['https://app.example.com', 'http://localhost:3000', undefined]) {
        const client = await fixture.connect(origin === undefined ? {} : { origin });
        client.terminate();
      }
    });

    test('is none without the method, key and version of one', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const good = {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-version': '13',
      };
      for (const wrong of [
        { ...good, 'sec-websocket-version': '8' },
        { ...good, 'sec-websocket-version': '' },
        { ...good, 'sec-websocket-key': 'short' },
        { ...good, 'sec-websocket-key': '' },
      ]) {
        const { status } = await rawRequest(fixture.port, 'GET', wrong);
        assert.ok(status >= 400 && status < 500, JSON.stringify([status, wrong]));
      }
      assert.ok((await rawRequest(fixture.port, 'GET', {})).status >= 400);
      assert.ok((await rawRequest(fixture.port, 'POST', {})).status >= 400);
      assert.deepEqual(fixture.sessions, []);
      const client = await fixture.connect();
      client.terminate();
    });

    test('A9 of a client that went away while it was judged is given up, and its place is free', async () => {
      let release: (answer: 'admit') => void = () => {};
      const asked: string[] = [];
      await using fixture = await SocketFixture.start(adapter, {
        limits: new ConnectionLimits({ ofNode: 1 }),
        admit: (_request, sandboxId) => {
          asked.push(sandboxId);
          return new Promise((resolve) => {
            release = resolve;
          });
        },
      });
      const leaving = new WebSocket(fixture.url);
      leaving.on('error', () => {});
      await until(() => asked.length === 1, 'the upgrade to be judged');
      leaving.terminate();
      // The adapter has to see the end of the connection first: another one that comes and goes is behind it.
      await closedConnection(fixture.port);
      release('admit');
      await until(() => fixture.abandoned === 1, 'the session to be given up');
      assert.deepEqual(fixture.sessions, []);
      const coming = fixture.connect();
      await until(() => asked.length === 2, 'the next upgrade to be judged');
      release('admit');
      (await coming).terminate();
    });

    test('over the limit of its sandbox or of the node is refused, until a place is free', async () => {
      await using fixture = await SocketFixture.start(adapter, {
        limits: new ConnectionLimits({ ofNode: 3, ofSandbox: 2 }),
      });
      const other = fixture.url.replace('/box', '/other');
      const first = await fixture.both();
      const second = await fixture.connect();
      assert.equal((await refusedUpgrade(fixture.url)).status, 429);
      const third = await fixture.connect({ url: other });
      assert.equal((await refusedUpgrade(other)).status, 503);
      assert.equal(fixture.abandoned, 2);
      first.client.terminate();
      await first.session.until(({ closes }) => closes.length === 1);
      const fourth = await fixture.connect();
      for (const client of [second, third, fourth]) client.terminate();
    });

    test('is refused once the service drains; what is open is closed with 1001', async () => {
      await using fixture = await SocketFixture.start(adapter);
      const { client } = await fixture.both();
      const closed = once(client, 'close');
      await fixture.door.drain(60_000);
      assert.equal((await closed)[0], 1001);
      assert.equal((await refusedUpgrade(fixture.url)).status, 503);
      assert.equal(fixture.door.size, 0);
    });
  });
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export async function refusedUpgrade(
  url: string,
  options: { origin?: string; headers?: Record<string, string>; protocols?: string[] } = {},
): Promise<HttpAnswer> {
  const { protocols = [], ...rest } = options;
  const ws = new WebSocket(url, protocols, rest);
  ws.on('error', () => {});
  const refused = once(ws, 'unexpected-response');
  const opened = once(ws, 'open').then(() => {
    throw new Error(`${url} was upgraded`);
  });
  opened.catch(() => {});
  const [, response] = await within(Promise.race([refused, opened]), () => `a refusal of ${url}`);
  let body = '';
  for await (const chunk of response) body += chunk;
  ws.terminate();
  return { status: response.statusCode, body, headers: response.headers };
}

function rawRequest(port: number, method: string, headers: Record<string, string>): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, method, path: '/sandboxes/box', headers, agent: false });
    asked.on('error', reject);
    asked.on('upgrade', (_response, socket) => {
      socket.destroy();
      reject(new Error('it was upgraded'));
    });
    asked.on('response', (response) => {
      response.resume();
      response.on('close', () =>
        resolve({ status: response.statusCode ?? 0, body: '', headers: response.headers }),
      );
    });
    asked.end();
  });
}

async function closedConnection(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.end('GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  socket.resume();
  await within(once(socket, 'close'), () => 'the end of a connection');
}

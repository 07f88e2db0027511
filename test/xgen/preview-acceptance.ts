import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { T, type XgenClient } from './xgen-client.ts';
import { keys, type XgenService } from './xgen-service.ts';

/** In Python. Says what reached it, as JSON; `/big` is 8 MiB; takes a WebSocket handshake and echoes bytes after it. */
export const echoServer = `
import http.server, json, base64, hashlib, threading
class H(http.server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'
  def do_GET(self):
    if self.headers.get('Upgrade') == 'websocket':
      key = self.headers['Sec-WebSocket-Key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
      accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
      self.wfile.write(('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n').encode())
      head = self.rfile.read(2); size = head[1] & 127; mask = self.rfile.read(4); data = self.rfile.read(size)
      plain = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
      self.wfile.write(bytes([head[0], size]) + plain); self.wfile.flush(); self.close_connection = True; return
    self.do_POST()
  def do_POST(self):
    body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
    out = b'x' * 8388608 if self.path == '/big' else json.dumps({'method': self.command, 'path': self.path, 'headers': self.headers.items(), 'body': body.decode()}).encode()
    self.send_response(200); self.send_header('Content-Length', str(len(out))); self.send_header('X-Own', 'yes'); self.end_headers(); self.wfile.write(out)
  def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('127.0.0.1', 3000), H).serve_forever()
`;

type GetArguments = [
  host: string,
  path: string,
  headers?: Record<string, string>,
  method?: string,
  body?: string,
];

export function getFrom(
  origin: string,
  ...[host, path, headers = {}, method = 'GET', body = '']: GetArguments
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(origin);
    const sent = request({ host: '127.0.0.1', port, path, method, headers: { ...headers, host } });
    sent.once('error', reject);
    sent.once('response', async (answer) => {
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: await text(answer) });
    });
    sent.end(body);
  });
}

/** Ports shown by host name: point 25 of the acceptance, as tests of the suite that calls it. */
export function previewAcceptance(service: () => XgenService): void {
  describe('previews of ports', () => {
    let client: XgenClient;
    let id: string;
    let token: string;
    before(async () => {
      id = (await service().create({ ports: [3000] })).id;
      client = await service().connect(id);
      client.send(T.start, 5, 0, { command: 'python3', args: ['-c', echoServer] });
      await client.find(({ type }) => type === T.portOpen);
      const issued = await service().call('POST', '/api/v1/auth/token', { body: { api_key: keys.user } });
      token = String(issued.body.token);
    });
    after(() => {
      client?.[Symbol.dispose]();
    });

    const get = (...args: GetArguments) => getFrom(service().origin, ...args);
    const host = (port: number | string = 3000) => `sbx-${id}-${port}.localhost`;

    it('25. needs a credential of the tenant, by header, cookie, or a token that becomes a cookie', async () => {
      const none = await get(host(), '/');
      assert.deepEqual([none.status, JSON.parse(none.body).code], [401, 'UNAUTHORIZED']);
      assert.equal((await get(host(), '/', { authorization: `ApiKey ${keys.stranger}` })).status, 404);

      const seen = await get(host(), '/a?b=c', { authorization: `Bearer ${token}`, cookie: 'own=1' });
      assert.equal(seen.status, 200);
      assert.equal(seen.headers['x-own'], 'yes');
      assert.ok(!seen.body.includes(token), 'the credential does not reach the sandbox');
      const told = JSON.parse(seen.body);
      assert.equal(told.path, '/a?b=c');
      const headers = Object.fromEntries(told.headers);
      assert.deepEqual([headers.host ?? headers.Host, headers['X-Forwarded-Host']], [host(), host()]);
      assert.deepEqual(
        [headers.Cookie, headers['X-Forwarded-Proto'], headers.authorization],
        ['own=1', 'http', undefined],
      );

      const moved = await get(host(), `/a?token=${token}&b=c`);
      assert.deepEqual([moved.status, moved.headers.location], [302, '/a?b=c']);
      const [cookie = ''] = moved.headers['set-cookie'] as string[];
      assert.match(cookie, /HttpOnly/);
      assert.doesNotMatch(cookie, /Domain/i);
      const byCookie = await get(host(), '/', {
        cookie: `${cookie.split(';')[0]}; own=2`,
        authorization: 'Basic b3duOm93bg==',
      });
      assert.equal(byCookie.status, 200);
      assert.ok(!byCookie.body.includes(token));
      const passed = Object.fromEntries(JSON.parse(byCookie.body).headers);
      assert.deepEqual([passed.Cookie, passed.authorization], ['own=2', 'Basic b3duOm93bg==']);
    });

    it('25. bodies go both ways, large ones too', async () => {
      const authorization = `ApiKey ${keys.user}`;
      const posted = await get(host(), '/p', { authorization, 'content-length': '5' }, 'POST', 'hello');
      assert.deepEqual([JSON.parse(posted.body).method, JSON.parse(posted.body).body], ['POST', 'hello']);
      assert.equal((await get(host(), '/big', { authorization })).body.length, 8_388_608);
    });

    it('25. a WebSocket through it', async () => {
      const socket = new WebSocket(service().origin.replace('http', 'ws'), {
        headers: { host: host(), authorization: `Bearer ${token}` },
      });
      await once(socket, 'open');
      socket.send('hello');
      const [message] = await once(socket, 'message');
      assert.equal(String(message), 'hello');
      socket.terminate();
    });

    it('25. 502 where nothing listens, 400 for port 0, 404 for another host or no sandbox', async () => {
      const authorization = `ApiKey ${keys.user}`;
      const closed = await get(host(3001), '/', { authorization });
      assert.deepEqual(
        [closed.status, JSON.parse(closed.body).code, JSON.parse(closed.body).error],
        [502, 'SERVICE_UNAVAILABLE', 'sandbox service unavailable'],
      );
      const zero = await get(host(0), '/', { authorization });
      assert.deepEqual([zero.status, JSON.parse(zero.body).code], [400, 'INVALID_PARAMETER']);
      assert.equal((await get('other.localhost', '/', { authorization })).status, 404);
      assert.equal((await get('sbx-00aaaaaaaaaaaaaaaaaa-80.localhost', '/', { authorization })).status, 404);
    });
  });
}

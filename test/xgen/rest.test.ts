import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { bubblewrapAsRoot, eventually } from '../support/bubblewrap-sandboxes.ts';
import { killFromOutside } from '../support/traces.ts';
import { refusedUpgrade, T, XgenClient } from './xgen-client.ts';
import { type Answer, keys, type SandboxObject, XgenService } from './xgen-service.ts';

const { skip } = await bubblewrapAsRoot();

describe('the xgen dialect of a whole service', { skip }, () => {
  let service: XgenService;
  before(async () => {
    service = await XgenService.start({ minReady: 3 });
  });
  after(() => service[Symbol.asyncDispose]());

  it('1. an upgrade without a good credential, without the right, or for no sandbox is refused in the envelope', async () => {
    const { id } = await service.create();
    const url = service.socketUrl(id);
    const cases: [string, Record<string, string>, number, string, string | undefined][] = [
      [url, {}, 401, 'UNAUTHORIZED', 'missing authorization'],
      [url, { authorization: 'Bearer a.b.c' }, 401, 'UNAUTHORIZED', 'invalid token'],
      [url, { authorization: 'Basic eDp5' }, 401, 'UNAUTHORIZED', 'unsupported auth scheme'],
      [url, { authorization: 'Bearer' }, 401, 'UNAUTHORIZED', 'invalid authorization format'],
      [url, { authorization: 'ApiKey wp_wrong' }, 401, 'UNAUTHORIZED', 'invalid API key'],
      [`${url}?token=nonsense`, {}, 401, 'UNAUTHORIZED', 'invalid token'],
      [`${url}?token=${keys.admin}`, {}, 401, 'UNAUTHORIZED', 'invalid token'],
      [url, { authorization: `ApiKey ${keys.viewer}` }, 403, 'FORBIDDEN', 'forbidden'],
      [url, { authorization: `ApiKey ${keys.stranger}` }, 404, 'SANDBOX_NOT_FOUND', undefined],
      [
        service.socketUrl('00aaaaaaaaaaaaaaaaaa'),
        { authorization: `ApiKey ${keys.admin}` },
        404,
        'SANDBOX_NOT_FOUND',
        undefined,
      ],
    ];
    for (const [at, headers, status, code, error] of cases) {
      const refused = await refusedUpgrade(at, { headers });
      assert.deepEqual([refused.status, refused.type], [status, 'application/json'], at);
      assert.equal(refused.body.code, code);
      if (error !== undefined) assert.equal(refused.body.error, error);
    }
    const forbidden = await refusedUpgrade(url, { headers: { authorization: `ApiKey ${keys.viewer}` } });
    assert.equal(forbidden.body.details, '{"permission":"sandbox:exec"}');
  });

  it('1. a token from /auth/token opens the socket by header and by query, also below /xgen and as v2', async () => {
    const { id } = await service.create();
    const { body } = await service.call('POST', '/api/v1/auth/token', {
      authorization: null,
      body: { api_key: keys.user },
    });
    const base = service.socketUrl(id);
    for (const url of [base, base.replace('/api/', '/xgen/api/'), base.replace('/v1/', '/v2/')]) {
      using byQuery = await XgenClient.connect(`${url}?token=${body.token}`);
      using byHeader = await XgenClient.connect(url, {
        headers: { authorization: `bearer ${body.token}` },
      });
      assert.equal((await byQuery.exec(5, 'true')).exitCode, 0);
      assert.equal(byHeader.socket.extensions, '');
    }
  });

  it('15. services are what really listens, with the address where it is shown', async () => {
    const { id } = await service.create({ ports: [3000, 8080] });
    using client = await service.connect(id);
    const services = async () =>
      (await service.call('GET', `/api/v1/sandboxes/${id}/services`)).body as unknown;
    assert.deepEqual(await services(), []);
    const script =
      'import socket,sys; s=socket.socket(); s.bind(("127.0.0.1",3000)); s.listen(); sys.stdin.read()';
    client.send(T.start, 5, 0, { command: 'python3', args: ['-c', script] });
    await client.find(({ type }) => type === T.portOpen);
    const port = new URL(service.origin).port;
    assert.deepEqual(await services(), [
      { port: 3000, preview_url: `http://sbx-${id}-3000.localhost:${port}` },
    ]);
    client.send(T.close, 5, 0);
    await client.find(({ type }) => type === T.portClose);
    assert.deepEqual(await services(), []);
  });

  it('19. a deleted sandbox closes its sockets with 1001 and is gone; deleting it again is 404', async () => {
    const { id } = await service.create();
    using client = await service.connect(id);
    assert.equal((await service.call('DELETE', `/api/v1/sandboxes/${id}`)).status, 204);
    assert.equal((await client.closed).code, 1001);
    for (const method of ['GET', 'DELETE']) {
      const gone = await service.call(method, `/api/v1/sandboxes/${id}`);
      assert.equal(gone.status, 404);
      assert.deepEqual(gone.body.details, `{"sandbox_id":"${id}"}`);
    }
  });

  it('19. a sandbox ends at its time, whatever is done with it', async () => {
    const { id, expires_at } = await service.create({ timeout_seconds: 8 });
    using client = await service.connect(id);
    client.send(T.start, 5, 0, { command: 'cat' });
    const typing = setInterval(() => client.send(T.stdin, 5, 0, Buffer.from('x\n')), 100);
    const { code } = await client.closed.finally(() => clearInterval(typing));
    assert.equal(code, 1001);
    const lateMs = Date.now() - Date.parse(expires_at);
    assert.ok(lateMs > -100 && lateMs < 30_000, `${lateMs} ms after its time`);
  });

  it('20. a create has the shape of the published API, and lists show the newest first', async () => {
    const first = await service.create({ metadata: { team: 'a' }, ports: [3000], env: { FOO: 'bar' } });
    const second = await service.create();
    const port = new URL(service.origin).port;
    assert.deepEqual(first, {
      id: first.id,
      status: 'running',
      template: 'base',
      ws_url: `${service.origin}/api/v1/sandboxes/${first.id}/ws`,
      preview_urls: { 3000: `http://sbx-${first.id}-3000.localhost:${port}` },
      vnc_url: null,
      created_at: first.created_at,
      expires_at: first.expires_at,
      metadata: { team: 'a' },
    });
    assert.match(first.id, /^[a-z0-9]{20}$/);
    assert.match(first.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assertLives(first, 3_600_000);
    assert.deepEqual(await service.get(first.id), first);
    const listed = await service.call('GET', '/api/v1/sandboxes');
    const ids = (listed.body as unknown as SandboxObject[]).map(({ id }) => id);
    assert.deepEqual(ids.slice(0, 2), [second.id, first.id]);
    const foreign = await service.call('GET', '/api/v1/sandboxes', { key: keys.stranger });
    assert.deepEqual(foreign.body, []);
  });

  it('20. each limit of a create is held, and what is over it is 400 with details as text', async () => {
    const wrong: object[] = [
      { timeout_seconds: 86_401 },
      { timeout_seconds: -1 },
      { timeout_seconds: '60' },
      { template: 'no-such-template' },
      { template: 7 },
      { env: { PATH: '/x' } },
      { env: { sandbox_id: 'x' } },
      { env: { '1a': 'x' } },
      { env: { A: 1 } },
      { env: Object.fromEntries(Array.from({ length: 51 }, (_, index) => [`E${index}`, 'x'])) },
      { ports: [0] },
      { ports: [65_536] },
      { ports: [3000, 3000] },
      { ports: ['3000'] },
      { metadata: Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`m${index}`, 'x'])) },
      { metadata: { ['k'.repeat(129)]: 'x' } },
      { metadata: { k: 'x'.repeat(1_025) } },
      { gui: true },
      { capabilities: ['browser'] },
      { resources: { cpu: '5' } },
      { resources: { cpu: 'much' } },
      { resources: { memory: '5Gi' } },
    ];
    for (const body of wrong) {
      const answer = await service.call('POST', '/api/v1/sandboxes', { body, key: keys.user });
      assert.equal(answer.status, 400, JSON.stringify(body));
      assert.equal(answer.body.code, 'INVALID_PARAMETER');
      assert.equal(typeof answer.body.details, 'string');
      assert.equal(typeof JSON.parse(String(answer.body.details)).field, 'string');
    }
    for (const body of ['{', '[]', '"x"']) {
      const answer = await service.call('POST', '/api/v1/sandboxes', { body, key: keys.user });
      assert.deepEqual([answer.status, answer.body.code], [400, 'INVALID_REQUEST']);
    }
    const large = await service.call('POST', '/api/v1/sandboxes', {
      body: JSON.stringify({ x: 'x'.repeat(1_100_000) }),
    });
    assert.deepEqual([large.status, large.body.code], [413, 'INVALID_REQUEST']);
    const day = await service.create({ timeout_seconds: 86_400 });
    assertLives(day, 86_400_000);
  });

  it('20. members that are not known are taken and named, and null is absent', async () => {
    const answer = await service.call('POST', '/api/v1/sandboxes', {
      body: { template: null, env: null, timeout_seconds: 0, color: 'red', resources: { cpu: '500m' } },
    });
    assert.equal(answer.status, 201);
    assert.equal(answer.headers.get('x-warmpool-ignored'), 'color,resources');
    assert.ok(answer.headers.get('x-request-id'));
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    const { id } = answer.body as SandboxObject;
    assert.equal((await service.call('POST', `/api/v1/sandboxes/${id}/keepalive`)).status, 204);
    assert.equal((await service.call('DELETE', `/api/v1/sandboxes/${id}`)).status, 204);
  });

  it('21. a keepalive gives an hour more, up to a day from now, and never shortens', async () => {
    const { id, expires_at } = await service.create();
    const keep = () => service.call('POST', `/api/v1/sandboxes/${id}/keepalive`);
    await keep();
    const kept = Date.parse((await service.get(id)).expires_at);
    assert.ok(Math.abs(kept - Date.parse(expires_at) - 3_600_000) < 60_000);
    for (let round = 0; round < 26; round++) await keep();
    const most = Date.parse((await service.get(id)).expires_at);
    assert.ok(Math.abs(most - Date.now() - 86_400_000) < 60_000);
    const day = await service.create({ timeout_seconds: 86_400 });
    await service.call('POST', `/api/v1/sandboxes/${day.id}/keepalive`);
    assert.ok(Date.parse((await service.get(day.id)).expires_at) >= Date.parse(day.expires_at));
  });

  it('22. exec over REST: environment in order, folder, arguments untouched, exit codes', async () => {
    const { id } = await service.create({ env: { FOO: 'sandbox', BAR: 'sandbox' } });
    const exec = execOf(service, id);
    const script = 'echo "$FOO $BAR $HOME $USER"; pwd; echo err >&2; exit 3';
    assert.deepEqual((await exec({ command: 'sh', args: ['-c', script], env: { BAR: 'request' } })).body, {
      exit_code: 3,
      stdout: 'sandbox request /home/sandbox sandbox\n/home/sandbox/workspace\n',
      stderr: 'err\n',
    });
    const spaces = await exec({ command: 'printf', args: ['[%s]', 'a  b', '', '$HOME'] });
    assert.equal(spaces.body.stdout, '[a  b][][$HOME]');
    await exec({ command: 'mkdir', args: ['sub'] });
    assert.equal((await exec({ command: 'pwd', cwd: 'sub' })).body.stdout, '/home/sandbox/workspace/sub\n');
    const nowhere = await exec({ command: 'pwd', cwd: 'no/where' });
    assert.deepEqual([nowhere.status, nowhere.body.code], [400, 'INVALID_PARAMETER']);
    const missing = await exec({ command: 'no-such-command' });
    assert.equal(missing.body.exit_code, 127);
    assert.match(String(missing.body.stderr), /not found/);
    assert.equal((await exec({ command: 'sh', args: ['-c', 'kill -9 $$'] })).body.exit_code, 137);
    assert.equal((await exec({ command: 'cat' })).body.stdout, '', 'stdin is empty and closed');
    assert.equal((await exec({ command: 'printf', args: ['a\\377b'] })).body.stdout, 'a\uFFFDb');
    const startedAt = performance.now();
    assert.equal((await exec({ command: 'sh', args: ['-c', 'sleep 90 & echo x'] })).body.stdout, 'x\n');
    assert.ok(performance.now() - startedAt < 60_000, 'long before the child ends');
    assert.deepEqual((await exec({ command: '' })).status, 400);
    assert.deepEqual((await exec({})).status, 400);
  });

  it('22. a command over its time is killed and 504; what is cut is marked and kept in the workspace', async () => {
    const { id } = await service.create();
    const exec = execOf(service, id);
    const startedAt = performance.now();
    const late = await exec({ command: 'sh', args: ['-c', 'sleep 90; true'], timeout_seconds: 1 });
    assert.ok(performance.now() - startedAt < 60_000, 'long before its end');
    assert.deepEqual([late.status, late.body.code], [504, 'EXEC_TIMEOUT']);
    assert.deepEqual(JSON.parse(String(late.body.details)), { sandbox_id: id, timeout_ms: 1_000 });
    const sleeps = () => exec({ command: 'pgrep', args: ['-x', 'sleep'] });
    await eventually(async () => (await sleeps()).body.exit_code === 1, 'what it ran is killed, too');

    const cut = await exec({ command: 'printf', args: ['0123456789abc'], max_stdout_bytes: 10 });
    const { artifact_path, ...rest } = cut.body;
    assert.deepEqual(rest, {
      exit_code: 0,
      stdout: '0123456789\n...[truncated]\n',
      stderr: '',
      truncated: true,
      stdout_truncated: true,
      stderr_truncated: false,
      truncation_marker: '\n...[truncated]\n',
    });
    assert.match(String(artifact_path), /^\.xgen\/artifacts\/exec-[\w-]+\.json$/);
    const artifact = await exec({ command: 'cat', args: [String(artifact_path)] });
    assert.deepEqual(JSON.parse(String(artifact.body.stdout)), {
      command: 'printf',
      args: ['0123456789abc'],
      exit_code: 0,
      stdout: '0123456789abc',
      stderr: '',
    });
  });

  it('23. a token is a JWT of three parts that lives 900 s; what a role may not do is 403', async () => {
    const token = await service.call('POST', '/api/v1/auth/token', {
      authorization: null,
      body: { api_key: keys.user },
    });
    const [header = '', payload = '', ...rest] = String(token.body.token).split('.');
    assert.equal(rest.length, 1);
    assert.equal(JSON.parse(Buffer.from(header, 'base64url').toString()).alg, 'HS256');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    assert.equal(claims.exp - claims.iat, 900);
    assert.deepEqual([claims.role, claims.tenant, typeof claims.sub], ['user', 'acme', 'string']);
    assert.equal(Date.parse(String(token.body.expires_at)), claims.exp * 1_000);

    const as = (authorization: string, method: string, path: string) =>
      service.call(method, path, { authorization });
    const bearer = `Bearer ${token.body.token}`;
    assert.equal((await as(bearer, 'GET', '/api/v1/sandboxes')).status, 200);
    const forged = `${header}.${Buffer.from(JSON.stringify({ ...claims, role: 'admin' })).toString('base64url')}.${rest[0]}`;
    assert.equal((await as(`Bearer ${forged}`, 'GET', '/api/v1/sandboxes')).body.error, 'invalid token');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    assert.equal((await as(`Bearer ${none}.${payload}.`, 'GET', '/api/v1/sandboxes')).status, 401);

    const { id } = await service.create();
    const one = `/api/v1/sandboxes/${id}`;
    const destroy = await as(bearer, 'DELETE', one);
    assert.deepEqual([destroy.status, destroy.body.details], [403, '{"permission":"sandbox:delete"}']);
    const looks = (method: string, path: string) => service.call(method, path, { key: keys.viewer });
    assert.equal((await looks('GET', one)).status, 200);
    assert.equal((await looks('POST', '/api/v1/sandboxes')).status, 403);
    assert.equal((await looks('POST', `${one}/exec`)).status, 403);
    assert.equal((await looks('POST', `${one}/keepalive`)).status, 403);
    for (const [method, path] of [
      ['GET', one],
      ['DELETE', one],
      ['POST', `${one}/keepalive`],
      ['POST', `${one}/exec`],
      ['GET', `${one}/services`],
    ] as const) {
      const body = method === 'POST' ? { command: 'true' } : undefined;
      const foreign = await service.call(method, path, { key: keys.stranger, ...(body && { body }) });
      assert.equal(foreign.status, 404, `${method} ${path}`);
    }
    const wrongKey = await service.call('POST', '/api/v1/auth/token', { body: { api_key: 'wp_x' } });
    assert.deepEqual([wrongKey.status, wrongKey.body.error], [401, 'invalid API key']);
    const noKey = await service.call('POST', '/api/v1/auth/token', { body: {} });
    assert.deepEqual([noKey.status, noKey.body.code], [400, 'INVALID_REQUEST']);
  });

  it('27. v2 has its own shapes', async () => {
    const created = await service.call('POST', '/api/v2/sandboxes', { body: { timeout_ms: 60_000 } });
    const { id, created_at_ms, expires_at_ms, ws_url } = created.body;
    assert.equal(created.status, 201);
    assert.ok(Math.abs(Number(expires_at_ms) - Number(created_at_ms) - 60_000) < 30_000);
    assert.equal(ws_url, `${service.origin}/api/v2/sandboxes/${id}/ws`);
    assert.equal(typeof created.body.from_warm_pool, 'boolean');
    const late = await service.call('POST', `/api/v2/sandboxes/${id}/exec`, {
      body: { command: 'sleep', args: ['9'], timeout_ms: 100 },
    });
    assert.deepEqual(
      { ...late.body, request_id: '' },
      {
        code: 'EXEC_TIMEOUT',
        message: late.body.message,
        details: { sandbox_id: id, timeout_ms: 100 },
        request_id: '',
        retryable: false,
      },
    );
    const token = await service.call('POST', '/api/v2/auth/token', { body: { api_key: keys.user } });
    assert.equal(typeof token.body.expires_at_ms, 'number');
  });
});

describe('the ends of xgen sockets', { skip }, () => {
  it('the native subprotocol at the same address gives the native session', async () => {
    await using service = await XgenService.start({ minReady: 1 });
    const { id } = await service.create();
    const socket = new WebSocket(service.socketUrl(id), 'warmpool.v1', {
      headers: { authorization: `Bearer ${keys.admin}` },
    });
    const [ready] = await once(socket, 'message');
    assert.equal(socket.protocol, 'warmpool.v1');
    assert.equal(ready[0], 0x50);
    assert.ok(ready.length > 9, 'the native Ready has a payload');
    socket.terminate();
  });

  it('a service that stops closes its sockets with 1001, those that run nothing at once', async () => {
    await using service = await XgenService.start({ minReady: 1, env: { WARMPOOL_DRAIN_TIMEOUT: '8s' } });
    const { id } = await service.create();
    using idle = await service.connect(id);
    using busy = await service.connect(id);
    busy.send(T.start, 5, 0, { command: 'cat' });
    await busy.find(({ type }) => type === T.ack);
    service.service.process.kill('SIGTERM');
    assert.equal((await idle.closed).code, 1001);
    busy.send(T.stdin, 5, 0, Buffer.from('still\n'));
    assert.equal(await busy.output(5, 'still'), 'still\n');
    assert.equal((await busy.closed).code, 1001);
    // A second signal, as the end of the test would send it, would cut the drain short.
    await service.service.exited;
  });

  it('a sandbox that is killed from outside is told as failed, and its sockets close with 1011', async () => {
    await using service = await XgenService.start({ minReady: 1 });
    const { id } = await service.create();
    using client = await service.connect(id);
    await killFromOutside(service.service.folder, null);
    assert.equal((await client.closed).code, 1011);
    assert.equal(client.frames.at(-1)?.type, T.sandboxError);
    assert.equal(client.frames.at(-1)?.map.code, 'sandbox_failed');
    await eventually(async () => (await service.get(id)).status === 'error', 'its record says so');
    const refused = await refusedUpgrade(service.socketUrl(id), {
      headers: { authorization: `ApiKey ${keys.admin}` },
    });
    assert.deepEqual([refused.status, refused.body.code], [409, 'SANDBOX_NOT_READY']);
  });
});

describe('the limits and the pool of the xgen dialect', { skip }, () => {
  it('24. the 121st request of a client within 60 s is 429, and other clients are not affected', async () => {
    await using service = await XgenService.start({ minReady: 0 });
    const ask = (key: string) => service.call('GET', '/api/v1/sandboxes', { key });
    for (let count = 0; count < 120; count++) assert.equal((await ask(keys.user)).status, 200);
    const over = await ask(keys.user);
    assert.deepEqual([over.status, over.body.code], [429, 'QUOTA_EXCEEDED']);
    const retryAfterMs = JSON.parse(String(over.body.details)).retry_after_ms;
    assert.ok(retryAfterMs > 0 && retryAfterMs <= 60_000);
    assert.equal(Number(over.headers.get('retry-after')), Math.ceil(retryAfterMs / 1_000));
    assert.equal((await ask(keys.admin)).status, 200);
    const upgrade = await refusedUpgrade(service.socketUrl('00aaaaaaaaaaaaaaaaaa'), {
      headers: { authorization: `ApiKey ${keys.user}` },
    });
    assert.equal(upgrade.status, 429);
    assert.equal((await service.call('GET', '/xgen/api/v1/nothing')).status, 404);
  });

  it('26. the five published series count patterns, never ids, and active is 0 when all are deleted', async () => {
    await using service = await XgenService.start({ minReady: 1 });
    const metric = async (line: RegExp) => {
      const text = await (await fetch(`${service.origin}/metrics`)).text();
      return Number(line.exec(text)?.[1] ?? Number.NaN);
    };
    const [one, two] = [await service.create(), await service.create()];
    assert.equal(await metric(/^xgen_sandboxes_active (\d+)$/m), 2);
    for (const { id } of [one, two]) await service.call('DELETE', `/api/v1/sandboxes/${id}`);
    const unknown = '/xgen/api/v1/sandboxes/00aaaaaaaaaaaaaaaaaa';
    assert.equal((await service.call('DELETE', unknown)).status, 404);
    assert.equal(await metric(/^xgen_sandboxes_active (\d+)$/m), 0);
    assert.equal(await metric(/^xgen_sandbox_create_total (\d+)$/m), 2);
    await eventually(
      async () => (await metric(/^xgen_sandbox_delete_total (\d+)$/m)) === 2,
      'both are counted',
    );
    const deletes =
      /^xgen_http_requests_total\{method="DELETE",path="\/api\/v1\/sandboxes\/\{id\}",status="204"\} (\d+)$/m;
    await eventually(async () => (await metric(deletes)) === 2, 'both requests are counted');
    const posts = /^xgen_http_request_duration_seconds_count\{method="POST",[^}]*\} (\d+)$/m;
    await eventually(async () => (await metric(posts)) === 2, 'so are those of the creates');
    const text = await (await fetch(`${service.origin}/metrics`)).text();
    assert.ok(!text.includes(one.id), 'no id is a label');
  });

  it('28. creates from a full pool are hits that run at once and see their environment', async () => {
    await using service = await XgenService.start({ minReady: 3 });
    await eventually(() => isFull(service, 3), 'the pool is full');
    const creates = await Promise.all(
      Array.from({ length: 3 }, (_, index) =>
        service.call('POST', '/api/v1/sandboxes', { body: { env: { WHICH: `${index}` } } }),
      ),
    );
    for (const [index, created] of creates.entries()) {
      assert.equal(created.headers.get('x-warmpool'), 'hit');
      assert.equal(created.body.status, 'running');
      const exec = execOf(service, String(created.body.id));
      assert.equal((await exec({ command: 'sh', args: ['-c', 'echo $WHICH'] })).body.stdout, `${index}\n`);
    }
  });
});

/** To the millisecond where it came from the pool; one that had to be booted was given its time when it had. */
function assertLives(sandbox: SandboxObject, forMs: number): void {
  const lifeMs = Date.parse(sandbox.expires_at) - Date.parse(sandbox.created_at);
  assert.ok(Math.abs(lifeMs - forMs) < 60_000, `${lifeMs} ms`);
}

function execOf(service: XgenService, id: string): (body: object) => Promise<Answer> {
  return (body) => service.call('POST', `/api/v1/sandboxes/${id}/exec`, { body });
}

async function isFull(service: XgenService, target: number): Promise<boolean> {
  const metrics = await (await fetch(`${service.origin}/metrics`)).text();
  return Number(/^warmpool_pool_ready\{[^}]*\} (\d+)$/m.exec(metrics)?.[1] ?? 0) >= target;
}

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { eventually } from '../support/bubblewrap-sandboxes.ts';
import { refusedUpgrade, T, XgenClient } from './xgen-client.ts';
import { type Answer, keys, type SandboxObject, type XgenService } from './xgen-service.ts';

/** The calls of a whole service: points 1, 15, 19 to 23 and 27 of the acceptance, as tests of the suite that calls it. */
export function restAcceptance(service: () => XgenService): void {
  it('1. an upgrade without a good credential, without the right, or for no sandbox is refused in the envelope', async () => {
    const { id } = await service().create();
    const url = service().socketUrl(id);
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
        service().socketUrl('00aaaaaaaaaaaaaaaaaa'),
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
    const { id } = await service().create();
    const { body } = await service().call('POST', '/api/v1/auth/token', {
      authorization: null,
      body: { api_key: keys.user },
    });
    const base = service().socketUrl(id);
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
    const { id } = await service().create({ ports: [3000, 8080] });
    using client = await service().connect(id);
    const services = async () =>
      (await service().call('GET', `/api/v1/sandboxes/${id}/services`)).body as unknown;
    assert.deepEqual(await services(), []);
    const script =
      'import socket,sys; s=socket.socket(); s.bind(("127.0.0.1",3000)); s.listen(); sys.stdin.read()';
    client.send(T.start, 5, 0, { command: 'python3', args: ['-c', script] });
    await client.find(({ type }) => type === T.portOpen);
    const port = new URL(service().origin).port;
    assert.deepEqual(await services(), [
      { port: 3000, preview_url: `http://sbx-${id}-3000.localhost:${port}` },
    ]);
    client.send(T.close, 5, 0);
    await client.find(({ type }) => type === T.portClose);
    assert.deepEqual(await services(), []);
  });

  it('19. a deleted sandbox closes its sockets with 1001 and is gone; deleting it again is 404', async () => {
    const { id } = await service().create();
    using client = await service().connect(id);
    assert.equal((await service().call('DELETE', `/api/v1/sandboxes/${id}`)).status, 204);
    assert.equal((await client.closed).code, 1001);
    for (const method of ['GET', 'DELETE']) {
      const gone = await service().call(method, `/api/v1/sandboxes/${id}`);
      assert.equal(gone.status, 404);
      assert.deepEqual(gone.body.details, `{"sandbox_id":"${id}"}`);
    }
  });

  it('19. a sandbox ends at its time, whatever is done with it', async () => {
    const { id, expires_at } = await service().create({ timeout_seconds: 8 });
    using client = await service().connect(id);
    client.send(T.start, 5, 0, { command: 'cat' });
    const typing = setInterval(() => client.send(T.stdin, 5, 0, Buffer.from('x\n')), 100);
    const { code } = await client.closed.finally(() => clearInterval(typing));
    assert.equal(code, 1001);
    const lateMs = Date.now() - Date.parse(expires_at);
    assert.ok(lateMs > -100 && lateMs < 30_000, `${lateMs} ms after its time`);
  });

  it('20. a create has the shape of the published API, and lists show the newest first', async () => {
    const first = await service().create({ metadata: { team: 'a' }, ports: [3000], env: { FOO: 'bar' } });
    const second = await service().create();
    const port = new URL(service().origin).port;
    assert.deepEqual(first, {
      id: first.id,
      status: 'running',
      template: 'base',
      ws_url: `${service().origin}/api/v1/sandboxes/${first.id}/ws`,
      preview_urls: { 3000: `http://sbx-${first.id}-3000.localhost:${port}` },
      vnc_url: null,
      created_at: first.created_at,
      expires_at: first.expires_at,
      metadata: { team: 'a' },
    });
    assert.match(first.id, /^[a-z0-9]{20}$/);
    assert.match(first.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assertLives(first, 3_600_000);
    assert.deepEqual(await service().get(first.id), first);
    const listed = await service().call('GET', '/api/v1/sandboxes');
    const ids = (listed.body as unknown as SandboxObject[]).map(({ id }) => id);
    assert.deepEqual(ids.slice(0, 2), [second.id, first.id]);
    const foreign = await service().call('GET', '/api/v1/sandboxes', { key: keys.stranger });
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
      { resources: { cpu: '1m' } },
      { resources: { memory: '5Gi' } },
      { resources: { memory: 512 } },
      { resources: { memory: '1Mi' } },
      { resources: { disk: 'all' } },
      { resources: { disk: '65Gi' } },
    ];
    for (const body of wrong) {
      const answer = await service().call('POST', '/api/v1/sandboxes', { body, key: keys.user });
      assert.equal(answer.status, 400, JSON.stringify(body));
      assert.equal(answer.body.code, 'INVALID_PARAMETER');
      assert.equal(typeof answer.body.details, 'string');
      assert.equal(typeof JSON.parse(String(answer.body.details)).field, 'string');
    }
    for (const body of ['{', '[]', '"x"']) {
      const answer = await service().call('POST', '/api/v1/sandboxes', { body, key: keys.user });
      assert.deepEqual([answer.status, answer.body.code], [400, 'INVALID_REQUEST']);
    }
    const large = await service().call('POST', '/api/v1/sandboxes', {
      body: JSON.stringify({ x: 'x'.repeat(1_100_000) }),
    });
    assert.deepEqual([large.status, large.body.code], [413, 'INVALID_REQUEST']);
    const day = await service().create({ timeout_seconds: 86_400 });
    assertLives(day, 86_400_000);
  });

  it('20. members that are not known are taken and named, and null is absent', async () => {
    const answer = await service().call('POST', '/api/v1/sandboxes', {
      body: { template: null, env: null, timeout_seconds: 0, color: 'red', resources: { cpu: 1, gpu: 1 } },
    });
    assert.equal(answer.status, 201);
    assert.equal(answer.headers.get('x-warmpool-ignored'), 'color,resources.gpu');
    assert.ok(answer.headers.get('x-request-id'));
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    const { id } = answer.body as SandboxObject;
    assert.equal((await service().call('POST', `/api/v1/sandboxes/${id}/keepalive`)).status, 204);
    assert.equal((await service().call('DELETE', `/api/v1/sandboxes/${id}`)).status, 204);
  });

  it('20. the resources of a create are what the sandbox has', async () => {
    const created = await service().call('POST', '/api/v1/sandboxes', {
      body: { resources: { cpu: '500m', memory: '96Mi', disk: '32Mi' } },
    });
    assert.deepEqual([created.status, created.headers.get('x-warmpool')], [201, 'miss']);
    const exec = execOf(service(), String(created.body.id));
    const size = await exec({ command: 'df', args: ['--block-size=1M', '--output=size', '/tmp'] });
    assert.ok(Number(/\d+/.exec(String(size.body.stdout))?.[0]) <= 32, String(size.body.stdout));
    const fill = (mebibytes: number) =>
      exec({ command: 'python3', args: ['-c', `len(bytearray(b"x") * (${mebibytes} << 20))`] });
    assert.equal((await fill(32)).body.exit_code, 0);
    assert.equal((await fill(200)).body.exit_code, 137, 'more than its memory');
  });

  it('21. a keepalive gives an hour more, up to a day from now, and never shortens', async () => {
    const { id, expires_at } = await service().create();
    const keep = () => service().call('POST', `/api/v1/sandboxes/${id}/keepalive`);
    await keep();
    const kept = Date.parse((await service().get(id)).expires_at);
    assert.ok(Math.abs(kept - Date.parse(expires_at) - 3_600_000) < 60_000);
    for (let round = 0; round < 26; round++) await keep();
    const most = Date.parse((await service().get(id)).expires_at);
    assert.ok(Math.abs(most - Date.now() - 86_400_000) < 60_000);
    const day = await service().create({ timeout_seconds: 86_400 });
    await service().call('POST', `/api/v1/sandboxes/${day.id}/keepalive`);
    assert.ok(Date.parse((await service().get(day.id)).expires_at) >= Date.parse(day.expires_at));
  });

  it('22. exec over REST: environment in order, folder, arguments untouched, exit codes', async () => {
    const { id } = await service().create({ env: { FOO: 'sandbox', BAR: 'sandbox' } });
    const exec = execOf(service(), id);
    const script = 'echo "$FOO $BAR $HOME $USER"; pwd; echo err >&2; exit 3';
    assert.deepEqual((await exec({ command: 'sh', args: ['-c', script], env: { BAR: 'request' } })).body, {
      exit_code: 3,
      stdout: 'sandbox request /home/sandbox sandbox\n/home/sandbox/workspace\n',
      stderr: 'err\n',
    });
    const spaces = await exec({ command: 'printf', args: ['[%s]', 'a  b', '', '$HOME'] });
    assert.equal(spaces.body.stdout, '[a  b][][$HOME]');
    await exec({ command: 'mkdir', args: ['sub'] });
    // A shell's own: the other command has no name for where it is but the one without symbolic links.
    const below = await exec({ command: 'sh', args: ['-c', 'pwd'], cwd: 'sub' });
    assert.equal(below.body.stdout, '/home/sandbox/workspace/sub\n');
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
    const { id } = await service().create();
    const exec = execOf(service(), id);
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
    const token = await service().call('POST', '/api/v1/auth/token', {
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
      service().call(method, path, { authorization });
    const bearer = `Bearer ${token.body.token}`;
    assert.equal((await as(bearer, 'GET', '/api/v1/sandboxes')).status, 200);
    const forged = `${header}.${Buffer.from(JSON.stringify({ ...claims, role: 'admin' })).toString('base64url')}.${rest[0]}`;
    assert.equal((await as(`Bearer ${forged}`, 'GET', '/api/v1/sandboxes')).body.error, 'invalid token');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    assert.equal((await as(`Bearer ${none}.${payload}.`, 'GET', '/api/v1/sandboxes')).status, 401);

    const { id } = await service().create();
    const one = `/api/v1/sandboxes/${id}`;
    const destroy = await as(bearer, 'DELETE', one);
    assert.deepEqual([destroy.status, destroy.body.details], [403, '{"permission":"sandbox:delete"}']);
    const looks = (method: string, path: string) => service().call(method, path, { key: keys.viewer });
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
      const foreign = await service().call(method, path, { key: keys.stranger, ...(body && { body }) });
      assert.equal(foreign.status, 404, `${method} ${path}`);
    }
    const wrongKey = await service().call('POST', '/api/v1/auth/token', { body: { api_key: 'wp_x' } });
    assert.deepEqual([wrongKey.status, wrongKey.body.error], [401, 'invalid API key']);
    const noKey = await service().call('POST', '/api/v1/auth/token', { body: {} });
    assert.deepEqual([noKey.status, noKey.body.code], [400, 'INVALID_REQUEST']);
  });

  it('27. v2 has its own shapes', async () => {
    const created = await service().call('POST', '/api/v2/sandboxes', { body: { timeout_ms: 60_000 } });
    const { id, created_at_ms, expires_at_ms, ws_url } = created.body;
    assert.equal(created.status, 201);
    assert.ok(Math.abs(Number(expires_at_ms) - Number(created_at_ms) - 60_000) < 30_000);
    assert.equal(ws_url, `${service().origin}/api/v2/sandboxes/${id}/ws`);
    assert.equal(typeof created.body.from_warm_pool, 'boolean');
    const late = await service().call('POST', `/api/v2/sandboxes/${id}/exec`, {
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
    const token = await service().call('POST', '/api/v2/auth/token', { body: { api_key: keys.user } });
    assert.equal(typeof token.body.expires_at_ms, 'number');
  });
}

/** To the millisecond where it came from the pool; one that had to be booted was given its time when it had. */
function assertLives(sandbox: SandboxObject, forMs: number): void {
  const lifeMs = Date.parse(sandbox.expires_at) - Date.parse(sandbox.created_at);
  assert.ok(Math.abs(lifeMs - forMs) < 60_000, `${lifeMs} ms`);
}

export function execOf(service: XgenService, id: string): (body: object) => Promise<Answer> {
  return (body) => service.call('POST', `/api/v1/sandboxes/${id}/exec`, { body });
}

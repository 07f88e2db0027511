import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { loadDataKey } from '../../src/auth/data-key.ts';
import { XgenTokens } from '../../src/auth/xgen-tokens.ts';
import { xgenTokenSecret } from '../../src/http/xgen/xgen-dialect.ts';
import { bubblewrapAsRoot, eventually } from '../support/bubblewrap-sandboxes.ts';
import { refusedUpgrade, T } from './xgen-client.ts';
import { type Body, keys, XgenService } from './xgen-service.ts';

describe('the answers of the xgen dialect', { skip: (await bubblewrapAsRoot()).skip }, () => {
  let service: XgenService;
  before(async () => {
    service = await XgenService.start({
      minReady: 2,
      env: { WARMPOOL_TRUSTED_PROXIES: '127.0.0.0/8, ::1' },
    });
  });
  after(() => service?.[Symbol.asyncDispose]());

  const mint = (agoMs: number) => {
    const key = loadDataKey({ file: null, stateFolder: service.service.folder.state });
    const clock = { wallMs: () => Date.now() - agoMs };
    const scopes = new Set(['claim', 'exec', 'files', 'ports', 'admin'] as const);
    return new XgenTokens(clock, xgenTokenSecret(key)).issue({
      tenant: 'acme',
      subject: 'test',
      role: 'admin',
      scopes,
    }).token;
  };

  it('1. and 23. a token that was good 900 s ago is refused everywhere, and counted', async () => {
    const { id } = await service.create();
    const fresh = await service.call('GET', '/api/v1/sandboxes', { authorization: `Bearer ${mint(0)}` });
    assert.equal(fresh.status, 200);
    const late = mint(901_000);
    const answer = await service.call('GET', '/api/v1/sandboxes', { authorization: `Bearer ${late}` });
    assert.deepEqual([answer.status, answer.body], [401, { error: 'token expired', code: 'UNAUTHORIZED' }]);
    const refused = await refusedUpgrade(`${service.socketUrl(id)}?token=${late}`);
    assert.deepEqual([refused.status, refused.body.error], [401, 'token expired']);
    const metrics = await textOf('/metrics');
    assert.match(metrics, /^xgen_auth_failures_total\{reason="token expired"\} 2$/m);
    assert.ok(!JSON.stringify(service.service.lines).includes(late), 'no token is logged');
  });

  it('1. every answer has a request id and can be read by a page of any origin', async () => {
    const cases: [string, string, number][] = [
      ['OPTIONS', '/api/v1/sandboxes', 204],
      ['OPTIONS', '/api/v1/sandboxes/x/keepalive', 204],
      ['OPTIONS', '/xgen/api/v1/auth/token', 204],
      ['OPTIONS', '/api/v2/admin/summary', 204],
      ['GET', '/xgen/healthz', 200],
      ['GET', '/xgen/metrics', 200],
      ['GET', '/api/v1/sandboxes', 401],
      ['GET', '/api/v1/admin/nothing', 404],
      ['PUT', '/api/v1/sandboxes', 404],
      ['GET', '/api/v2/nothing', 404],
      ['GET', '/xgen/nothing', 404],
    ];
    for (const [method, path, status] of cases) {
      const answer = await fetch(`${service.origin}${path}`, { method });
      assert.equal(answer.status, status, path);
      assert.match(String(answer.headers.get('x-request-id')), /^[0-9a-f-]{36}$/);
      assert.equal(answer.headers.get('access-control-allow-origin'), '*');
      assert.equal(
        answer.headers.get('access-control-allow-methods'),
        'GET, POST, PUT, DELETE, PATCH, OPTIONS',
      );
      assert.equal(answer.headers.get('access-control-allow-headers'), 'Content-Type, Authorization');
      if (status !== 404) continue;
      const body = (await answer.json()) as Body;
      assert.equal(body.code, 'ROUTE_NOT_FOUND');
      assert.equal('request_id' in body, path.includes('v2'));
    }
    const { id } = await service.create();
    using client = await service.connect(id);
    assert.equal(client.socket.protocol, '');
  });

  it('26. health is text below /xgen and for whoever prefers it; the metrics are there too', async () => {
    assert.equal(await textOf('/xgen/healthz'), 'ok');
    for (const [accept, expected] of [
      ['text/plain', 'ok'],
      ['text/plain, application/json;q=0.9', 'ok'],
      ['application/json, text/plain, */*;q=0.5', 'ok'],
      ['application/json, text/plain;q=0.5', '{"status":"ok"}'],
      ['*/*', '{"status":"ok"}'],
    ] as const) {
      assert.equal(await textOf('/healthz', { accept }), expected, accept);
    }
    assert.match(await textOf('/xgen/metrics'), /^xgen_http_requests_total\{/m);
  });

  it('20. members that are not known are named in every call that has a body', async () => {
    const { id } = await service.create();
    const exec = await service.call('POST', `/api/v1/sandboxes/${id}/exec`, {
      body: { command: 'true', colour: 'red', 'a\nb': 1 },
    });
    assert.equal(exec.headers.get('x-warmpool-ignored'), 'colour,a_b');
    const token = await service.call('POST', '/api/v1/auth/token', {
      body: { api_key: keys.user, more: true },
    });
    assert.equal(token.headers.get('x-warmpool-ignored'), 'more');
    const known = await service.call('POST', `/api/v1/sandboxes/${id}/exec`, { body: { command: 'true' } });
    assert.equal(known.headers.get('x-warmpool-ignored'), null);
  });

  it('22. an artifact outside of the workspace is refused before the command runs', async () => {
    const { id } = await service.create();
    const exec = (body: object) => service.call('POST', `/api/v1/sandboxes/${id}/exec`, { body });
    const refused = await exec({ command: 'touch', args: ['ran'], artifact_path: '../../x' });
    assert.deepEqual([refused.status, refused.body.code], [400, 'INVALID_PARAMETER']);
    assert.equal((await exec({ command: 'ls' })).body.stdout, '');
  });

  it('24. a client behind our proxy is counted by what the proxy says, whatever its own port', async () => {
    const ask = (client: string) =>
      service.call('POST', '/api/v1/auth/token', {
        authorization: null,
        body: { api_key: 'wp_wrong' },
        headers: { 'x-forwarded-for': client, connection: 'close' },
      });
    for (let count = 0; count < 120; count++) assert.equal((await ask('192.0.2.7, 127.0.0.1')).status, 401);
    assert.equal((await ask('192.0.2.7')).status, 429);
    assert.equal(
      (await ask('192.0.2.99, 192.0.2.7')).status,
      429,
      'what the client sent itself counts for nothing',
    );
    assert.equal((await ask('192.0.2.8')).status, 401);
    assert.equal((await ask('nonsense')).status, 401);
  });

  it('27. administrators see their tenant and the pools, in both versions; others are refused', async () => {
    const { id } = await service.create();
    for (const version of ['v1', 'v2']) {
      const ask = (path: string, key?: string) =>
        service.call('GET', `/api/${version}/admin/${path}`, key === undefined ? {} : { key });
      const summary = (await ask('summary')).body;
      const listed = (await service.call('GET', '/api/v1/sandboxes')).body as unknown as unknown[];
      assert.equal(summary.active_sandboxes, listed.length);
      assert.deepEqual(summary.sandboxes_by_status, { running: listed.length });
      assert.deepEqual(summary.sandboxes_by_template, { base: listed.length });
      const pool = (summary.warm_pool as Body).base as Body;
      assert.deepEqual([pool.target, typeof pool.available], [2, 'number']);
      assert.deepEqual((await ask('metrics')).body, { active_sandboxes: listed.length });
      const pools = (await ask('warm-pool')).body.pools as readonly Body[];
      assert.deepEqual(
        pools.map(({ template, target }) => [template, target]),
        [['base', 2]],
      );
      assert.equal((await ask('metrics', keys.stranger)).body.active_sandboxes, 0);
      for (const path of ['summary', 'metrics', 'warm-pool', 'audit-logs']) {
        const refused = await ask(path, keys.user);
        assert.deepEqual([refused.status, refused.body.code], [403, 'FORBIDDEN']);
      }
    }
    const refused = await service.call('GET', '/api/v1/admin/summary', { key: keys.viewer });
    assert.equal(refused.body.details, '{"permission":"admin:read"}');
    assert.equal((await service.get(id)).status, 'running');
  });

  it('27. the audit log has every call that changes something and every upgrade, newest first', async () => {
    const { id } = await service.create();
    const one = `/api/v1/sandboxes/${id}`;
    const logs = async (query: string, key: string = keys.admin) => {
      const { body } = await service.call('GET', `/api/v1/admin/audit-logs${query}`, { key });
      return body as { readonly entries: readonly Body[]; readonly total: number };
    };
    using client = await service.connect(id, keys.user);
    await refusedUpgrade(service.socketUrl(id), { headers: { authorization: `ApiKey ${keys.viewer}` } });
    await service.call('POST', `${one}/keepalive`, { headers: { 'x-forwarded-for': '192.0.2.9' } });
    await service.call('GET', one);
    assert.equal((await service.call('DELETE', one, { key: keys.user })).status, 403);
    await service.call('DELETE', one);
    assert.equal((await client.closed).code, 1001);
    const own = (await logs('')).entries.filter((entry) => entry.sandbox_id === id);
    assert.deepEqual(
      own.map(({ action, role, status }) => [action, role, status]),
      [
        ['DELETE /api/v1/sandboxes/{id}', 'admin', 204],
        ['DELETE /api/v1/sandboxes/{id}', 'user', 403],
        ['POST /api/v1/sandboxes/{id}/keepalive', 'admin', 204],
        ['GET /api/v1/sandboxes/{id}/ws', 'viewer', 403],
        ['GET /api/v1/sandboxes/{id}/ws', 'user', 101],
        ['POST /api/v1/sandboxes', 'admin', 201],
      ],
    );
    assert.match(String(own[0]?.timestamp), /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/);
    assert.deepEqual([own[2]?.remote_ip, own[1]?.remote_ip], ['192.0.2.9', '127.0.0.1']);

    const deletes = await logs('?action=DELETE&limit=1');
    assert.deepEqual([deletes.entries.length, deletes.total], [1, 2]);
    const next = await logs('?action=DELETE&limit=1&offset=1');
    assert.equal(next.entries[0]?.role, 'user');
    const subject = String(own[1]?.subject);
    assert.ok((await logs(`?subject=${subject}`)).entries.every((entry) => entry.subject === subject));
    assert.equal((await logs('', keys.stranger)).total, 0);
  });

  it('26. the further series: by route, template and status, of the pools, and of what had to boot', async () => {
    const before = await textOf('/metrics');
    const seriesValue = (text: string, series: string) =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${series} `))
          ?.split(' ')[1],
      );
    const claims = seriesValue(before, 'xgen_warm_pool_claims_total');
    const { id } = await service.create();
    const text = await textOf('/metrics');
    const active = seriesValue(text, 'xgen_sandboxes_active');
    assert.ok(active > 0);
    assert.equal(seriesValue(text, 'xgen_sandboxes_by_template{template="base"}'), active);
    assert.equal(seriesValue(text, 'xgen_sandboxes_by_status{status="running"}'), active);
    assert.equal(seriesValue(text, 'xgen_sandboxes_by_status{status="error"}'), 0);
    assert.equal(seriesValue(text, 'xgen_warm_pool_target{template="base"}'), 2);
    assert.ok(seriesValue(text, 'xgen_warm_pool_available{template="base"}') <= 2);
    assert.ok(claims > 0 && seriesValue(text, 'xgen_warm_pool_claims_total') >= claims);
    assert.equal(seriesValue(text, 'xgen_warm_pool_replenish_failures_total'), 0);
    assert.ok(seriesValue(text, 'xgen_ws_connections_active') >= 0);
    assert.ok(seriesValue(text, 'xgen_auth_token_generated_total') >= 1);
    assert.ok(seriesValue(text, 'xgen_api_v1_requests_total{route="/api/v1/sandboxes/{id}/exec"}') >= 3);
    assert.ok(
      seriesValue(
        text,
        'xgen_http_requests_total{method="GET",path="/api/v1/sandboxes/{id}/ws",status="101"}',
      ) >= 1,
    );
    for (const bound of ['0.1', '0.5', '1', '2', '5', '10', '30']) {
      assert.ok(text.includes(`xgen_sandbox_pod_create_duration_seconds_bucket{le="${bound}"}`), bound);
    }
    assert.ok(!text.includes(id));
  });

  it('2. file frames need the right to files, and nothing else does', async () => {
    const { id } = await service.create();
    using client = await service.connect(id, keys.runner);
    for (const [type, request] of [
      [T.read, { path: 'a' }],
      [T.write, { path: 'a', content: Buffer.from('x') }],
      [T.list, { path: '.' }],
      [T.remove, { path: 'a' }],
      [T.watch, { path: '.' }],
    ] as const) {
      const answer = await client.ask(type, request);
      assert.deepEqual([answer.type, answer.map.code], [T.error, 'forbidden']);
    }
    assert.equal((await client.exec(5, 'true')).exitCode, 0);
  });

  it('7.10 the close of a client is echoed', async () => {
    const { id } = await service.create();
    using client = await service.connect(id);
    client.socket.close(1000);
    assert.equal((await client.closed).code, 1000);
  });

  it('6. what a caller ran is ended when it leaves', async () => {
    const { id } = await service.create();
    const watched = await service.connect(id);
    using _ = watched;
    const left = new AbortController();
    const call = fetch(`${service.origin}/api/v1/sandboxes/${id}/exec`, {
      method: 'POST',
      signal: left.signal,
      headers: { authorization: `ApiKey ${keys.admin}` },
      body: JSON.stringify({ command: 'sleep', args: ['73'] }),
    });
    const running = async () => (await watched.sh(5, 'pgrep -fc "^sleep 73"')).stdout.trim();
    await eventually(async () => (await running()) === '1', 'it runs');
    left.abort();
    await assert.rejects(call);
    await eventually(async () => (await running()) === '0', 'it has been ended');
  });

  it('6. a stream beyond 10 MiB is cut, marked and said to be so', async () => {
    const { id } = await service.create();
    const exec = (body: object) => service.call('POST', `/api/v1/sandboxes/${id}/exec`, { body });
    const long = await exec({ command: 'sh', args: ['-c', 'yes | head -c 10485761; echo $TERM >&2'] });
    const stdout = String(long.body.stdout);
    assert.equal(stdout.length, 10_485_760 + '\n...[truncated]\n'.length);
    assert.ok(stdout.endsWith('\n...[truncated]\n'));
    assert.deepEqual(
      [long.body.truncated, long.body.stdout_truncated, long.body.stderr_truncated, long.body.stderr],
      [true, true, false, 'xterm-256color\n'],
    );
    const denied = await exec({ command: '/etc/passwd' });
    assert.deepEqual([denied.body.exit_code, denied.body.stdout], [126, '']);
  });

  it('12. an Error that must not be sent is counted instead', async () => {
    const { id } = await service.create();
    using client = await service.connect(id);
    client.send(0x12, 0, 0);
    client.send(T.remove, 0, 0, { path: 'missing' });
    client.send(T.start, 0, 0, { command: 'true', cwd: '/no/where' });
    client.send(T.signal, 77, 0, { signal: 'SIGINT' });
    assert.equal((await client.exec(5, 'true')).exitCode, 0);
    assert.ok(!client.frames.some(({ type }) => type === T.error));
    const dropped = /^xgen_ws_errors_dropped_total 4$/m;
    await eventually(async () => dropped.test(await textOf('/metrics')), 'all four are counted');
  });

  async function textOf(path: string, headers: Record<string, string> = {}): Promise<string> {
    return (await fetch(`${service.origin}${path}`, { headers })).text();
  }
});

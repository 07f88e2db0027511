import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newApiKey } from '../../src/auth/api-keys.ts';
import { CliProcess, type CliResult } from '../support/cli-process.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { until } from '../support/until.ts';

const { client, allocator, address, server } = await grpcFixture();

test('create prints a table for people, one document for programs, an id for shells', async () => {
  const flags = [
    '--timeout',
    '1h30m',
    '--env',
    'A=b=c',
    '--env',
    'E=',
    '--metadata',
    'owner=me',
    '--user',
    'root',
  ];
  const more = ['--cwd', '/srv', '--on-miss', 'wait', '--wait', '90s'];
  const table = await warmpool('create', 'base', ...flags, ...more);
  const { requestId: _, ...request } = allocator.creates.at(-1) ?? {};
  assert.deepEqual(request, {
    template: 'base',
    timeoutMs: 5_400_000,
    env: { A: 'b=c', E: '' },
    metadata: { owner: 'me' },
    user: 'root',
    cwd: '/srv',
    onMiss: 'wait',
    waitMs: 90_000,
  });
  assert.equal(
    masked(table.stdout),
    [
      'ID                    TEMPLATE  STATE    LAUNCH  NODE    ENDS IN  METADATA',
      '07------------------  base      running  warm    node-1  1h30m    owner=me',
      '',
    ].join('\n'),
  );

  const json = await warmpool('create', 'base', '--json', '--request-id', 'r1');
  assert.equal(
    masked(json.stdout),
    `${JSON.stringify(
      {
        id: '07------------------',
        template: 'base',
        state: 'running',
        launch: 'warm',
        node_id: 'node-1',
        created_at: '2030-01-02T03:04:05.678Z',
        expires_at: '2030-01-02T03:09:05.678Z',
        remaining_ms: 300_000,
        end_of_life_at: '2030-01-03T03:04:05.678Z',
        metadata: {},
        end_reason: null,
        failure: '',
        repeated: false,
      },
      null,
      2,
    )}\n`,
  );
  const again = await warmpool('create', 'base', '--quiet', '--request-id', 'r1');
  assert.equal(again.stdout.trim(), JSON.parse(json.stdout).id);
});

test('ls follows the pages and filters', async () => {
  const batch = { metadata: { batch: 'ls' } };
  const made = await Promise.all(Array.from({ length: 120 }, () => client.create('base', batch)));
  const flags = ['--template', 'base', '--state', 'running', '--metadata', 'batch=ls'];
  const quiet = await warmpool('ls', '-q', ...flags);
  assert.deepEqual(quiet.stdout.trim().split('\n').sort(), made.map(({ id }) => id).sort());
  const json = await warmpool('ls', '--json', ...flags);
  assert.equal(JSON.parse(json.stdout).length, 120);
  const none = await warmpool('ls', '--state', 'paused', '--state', 'failed');
  assert.equal(none.stdout, 'ID  TEMPLATE  STATE  LAUNCH  NODE  ENDS IN  METADATA\n');
  assert.equal((await warmpool('ls', '--state', 'paused', '--json')).stdout, '[]\n');
});

test('get, keepalive, timeout and rm', async () => {
  const [{ id }, other] = await Promise.all([client.create('base'), client.create('base')]);
  assert.equal(JSON.parse((await warmpool('get', id, '--json')).stdout).id, id);
  assert.match((await warmpool('keepalive', id, '--for', '1h')).stdout, / 1h {2}/);
  assert.equal(JSON.parse((await warmpool('timeout', id, '20s', '--json')).stdout).remaining_ms, 20_000);
  const removed = await warmpool('rm', id, 'unknown', other.id);
  assert.deepEqual(removed.stdout.trim().split('\n').sort(), [id, other.id].sort());
  assert.equal(removed.code, 125);
  assert.equal(removed.stderr, 'warmpool: no sandbox has the id "unknown" (warmpool ls shows yours)\n');
});

test('pools ls, get and scale', async () => {
  const table = await warmpool('pools');
  assert.equal(
    table.stdout,
    [
      'NAME   RUNTIME     READY  STARTING  LIVE   HITS  MISSES  WAITING  LOAD  WHY                                 NOTE',
      'base   bubblewrap  8/8    0         9/256  3     1       0        0.0   minReady                            -',
      'empty  bubblewrap  0/8    0         9/256  3     1       0        0.0   minReady                            the last boot failed: no such image',
      'slow   bubblewrap  0/12   0         9/256  3     1       0        5.0   held, limited by startsInFlightMax  -',
      '',
    ].join('\n'),
  );
  const scaled = await warmpool('pools', 'scale', 'base', '--min-ready', '0', '--max-total', '99', '--json');
  assert.deepEqual(JSON.parse(scaled.stdout), {
    name: 'base',
    runtime: 'bubblewrap',
    spec_version: '0123456789abcdef',
    size: {
      min_ready: 0,
      max_ready: 64,
      max_total: 99,
      starts_in_flight_max: 4,
      max_idle_age_ms: 3_600_000,
      on_miss: 'cold',
      target_hit_ratio: 0,
      burst: 0,
      scale_to_zero_after_ms: 600_000,
    },
    target: 8,
    ready: 8,
    starting: 0,
    live: 9,
    waiting: 0,
    counters: {
      hits: 3,
      misses_empty: 1,
      misses_uncacheable: 0,
      misses_over_limit: 0,
      starts_warm: 9,
      starts_cold: 1,
      starts_failed: 0,
      boots: 9,
      boot_ms: 2_700,
    },
    note: '',
    sizing: {
      claims_per_second: 0,
      boot_time_ms: null,
      offered_load: 0,
      wanted: 0,
      expected_hit_ratio: null,
      reason: 'min_ready',
      limit: 'none',
    },
  });
  const followed = await warmpool('pools', 'get', 'slow');
  assert.match(
    followed.stdout,
    /\n2.5 claims\/s with boots of 2 s are a load of 5; 95 % from a ready sandbox asks for 12; the target of 12 serves 99.5 %.\n$/,
  );
  assert.match((await warmpool('pools', 'get', 'base')).stdout, /\nThe pool does not follow its load.\n$/);
  assert.match((await warmpool('pools', 'get', 'base')).stdout, /9\/99/);
  assert.equal(JSON.parse((await warmpool('pools', 'ls', '--json')).stdout).length, 3);
});

test('watch prints events until interrupted', async () => {
  await until(() => server.activeCalls === 0, 'no other call is in progress');
  const people = start('watch');
  const programs = start('watch', '--json');
  await until(() => server.activeCalls === 2, 'both watch');
  const { id } = await client.create('base');
  await client.delete(id);
  await Promise.all([people.printed('stopped'), programs.printed('stopped')]);
  for (const watching of [people, programs]) watching.child.kill('SIGINT');
  const [lines, documents] = await Promise.all([people.result(), programs.result()]);
  assert.equal(
    lines.stdout,
    [
      `2030-01-02T03:04:05.678Z  ${id}  base  new -> running`,
      `2030-01-02T03:04:05.678Z  ${id}  base  running -> stopping (deleted)`,
      `2030-01-02T03:04:05.678Z  ${id}  base  stopping -> stopped (deleted)`,
      '',
    ].join('\n'),
  );
  assert.deepEqual([lines.code, documents.code], [0, 0]);
  const [first] = documents.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const { event_id: eventId, ...event } = first;
  assert.deepEqual(event, {
    id,
    template: 'base',
    from: null,
    to: 'running',
    reason: null,
    at: '2030-01-02T03:04:05.678Z',
    node_id: 'node-1',
  });
  const resumed = start('watch', '--after', eventId, '--id', id);
  await resumed.printed('stopped');
  resumed.child.kill('SIGINT');
  assert.equal((await resumed.result()).stdout.split('\n').length, 3);
});

test('A16 what a server says cannot act on the terminal', async () => {
  const evil = '\u001b[2J\u009b31m\r\n\u202eoverwritten\u0007';
  const { id } = await client.create('base', { metadata: { [`k${evil}`]: `v${evil}` } });
  const acting = /[\p{Cc}\u202e]/u;
  const table = await warmpool('get', id);
  assert.equal(table.stdout.split('\n').length, 3);
  assert.doesNotMatch(table.stdout.replaceAll('\n', ''), acting);
  const json = await warmpool('get', id, '--json');
  assert.doesNotMatch(json.stdout.replaceAll('\n', ''), acting);
  assert.deepEqual(JSON.parse(json.stdout).metadata, { [`k${evil}`]: `v${evil}` });
  const error = await warmpool('get', `x${evil}`);
  assert.doesNotMatch(error.stderr.replaceAll('\n', ''), acting);
});

test('there are colours on a terminal only, and not with NO_COLOR', async () => {
  const { id } = await client.create('base');
  const plain = await warmpool('get', id);
  const forced = await new CliProcess(['get', id], { WARMPOOL_ADDRESS: address, FORCE_COLOR: '1' }).result();
  assert.ok(!plain.stdout.includes('\u001b['));
  assert.ok(forced.stdout.includes('\u001b[32m'));
  const none = { WARMPOOL_ADDRESS: address, FORCE_COLOR: '1', NO_COLOR: '1' };
  assert.equal((await new CliProcess(['get', id], none).result()).stdout, plain.stdout);
});

test('a service that is not there is said clearly, with exit code 125', async () => {
  const nobody = '127.0.0.1:1';
  const said = `warmpool: no warmpool service answers at ${nobody}; start one with \`npm start\` or set WARMPOOL_ADDRESS\n`;
  for (const args of [['ls'], ['exec', 'x', '--', 'true'], ['run', 'base', '--', 'true'], ['watch']]) {
    const result = await new CliProcess(['--address', nobody, ...args]).result();
    assert.deepEqual(result, { code: 125, stdout: '', stderr: said }, args.join(' '));
  }
});

test('mistakes on the command line are exit code 2 and name what is wrong', async () => {
  const mistakes: readonly [readonly string[], RegExp][] = [
    [['bogus'], /unknown command 'bogus'/],
    [['create'], /missing required argument 'template'/],
    [['create', 'base', '--timeout', 'soon'], /Write it like 90s, 5m or 1h30m/],
    [['create', 'base', '--env', 'NOVALUE'], /NAME=VALUE/],
    [['create', 'base', '--on-miss', 'hope'], /Allowed choices are cold, wait, fail/],
    [['ls', '--state', 'asleep'], /Allowed states are starting, ready/],
    [['timeout', 'x', '-5s'], /unknown option|Write it like/],
    [['exec', 'x'], /missing required argument 'command'/],
    [['pools', 'scale', 'base', '--min-ready', 'many'], /whole number/],
    [['keys', 'new'], /required option '--tenant/],
    [['keys', 'new', '--tenant', 'Not OK'], /1 to 63 of a-z/],
    [['keys', 'new', '--tenant', 'ok', '--scopes', 'root'], /Scopes are claim/],
  ];
  const results = await Promise.all(mistakes.map(([args]) => warmpool(...args)));
  for (const [index, [args, message]] of mistakes.entries()) {
    assert.equal(results[index]?.code, 2, args.join(' '));
    assert.match(results[index]?.stderr ?? '', message);
  }
});

test('what the service refuses is exit code 125, with the fields and when to try again', async () => {
  const empty = await warmpool('create', 'empty');
  assert.equal(empty.stderr, 'warmpool: the pool "empty" has no ready sandbox (try again in 1s)\n');
  assert.equal(empty.code, 125);
  const unknown = await warmpool('create', 'nope');
  assert.equal(unknown.stderr, 'warmpool: no template is named "nope" (warmpool pools shows them)\n');
});

test('A17 a key comes from the environment; without or with a wrong one it is said what to set', async () => {
  const { key, entry } = newApiKey('acme');
  const [tenant = '', sha256 = ''] = entry.split(':');
  const locked = await grpcFixture([{ tenant, sha256, scopes: ['claim'] }]);
  const env = { WARMPOOL_ADDRESS: locked.address };
  const without = await new CliProcess(['ls'], env).result();
  assert.equal(without.code, 125);
  assert.match(without.stderr, /carries no API key.*\(set WARMPOOL_API_KEY\)/);
  const right = await new CliProcess(['ls', '--json'], { ...env, WARMPOOL_API_KEY: key }).result();
  assert.deepEqual(right, { code: 0, stdout: '[]\n', stderr: '' });
  const wrong = newApiKey('acme').key;
  const refused = await new CliProcess(['ls'], { ...env, WARMPOOL_API_KEY: wrong }).result();
  assert.match(refused.stderr, /not one that this service knows/);
  assert.ok(!refused.stderr.includes(wrong));
});

test('keys new prints a key once, and the entry for the service', async () => {
  const people = await warmpool('keys', 'new', '--tenant', 'acme', '--scopes', 'claim,exec');
  assert.match(people.stdout, /^key {4}wp_[a-z2-7]{32}\nentry {2}acme:[0-9a-f]{64}:claim\+exec\n/);
  const programs = JSON.parse((await warmpool('keys', 'new', '--tenant', 'acme', '--json')).stdout);
  assert.deepEqual(Object.keys(programs), ['key', 'entry']);
  assert.match(programs.entry, /^acme:[0-9a-f]{64}$/);
});

test('version and help', async () => {
  assert.match((await warmpool('version')).stdout, /^\d+\.\d+\.\d+\n$/);
  const help = await warmpool('--help');
  assert.equal(help.code, 0);
  for (const word of ['create', 'WARMPOOL_API_KEY', 'Exit codes']) assert.ok(help.stdout.includes(word));
});

function start(...args: readonly string[]): CliProcess {
  return new CliProcess(args, { WARMPOOL_ADDRESS: address });
}

function warmpool(...args: readonly string[]): Promise<CliResult> {
  return start(...args).result();
}

/** Ids are random; everything else is not. */
function masked(text: string): string {
  return text.replace(/07[a-z0-9]{18}/g, '07------------------');
}

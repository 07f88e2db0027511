import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ServiceError } from '@grpc/grpc-js';
import { newApiKey } from '../../src/auth/api-keys.ts';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { newSandboxId } from '../../src/domain/ids.ts';
import { eventually } from '../support/bubblewrap-sandboxes.ts';
import { bearer, type Failure, failureOf, RawClients, streamFailure } from '../support/grpc-raw.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { TestService } from '../support/service.ts';
import { smallPool } from './main-job.ts';

type Send = (done: (error: ServiceError | null) => void) => unknown;
type Row = { readonly send: Send; readonly fields: readonly string[] };

const noBubblewrap = (await requirement('bubblewrap')).skip;
const noRedis = (await requirement('redis')).skip;
const redis = noRedis === false ? await RedisServer.start() : null;
after(() => redis?.stop());

const alice = newApiKey('alice', ['claim', 'exec', 'admin']);
const bob = newApiKey('bob', ['claim', 'exec']);
const pools = [
  smallPool(),
  { ...smallPool({ size: { minReady: 0, maxReady: 1, maxTotal: 1 } }), name: 'one' },
  { ...smallPool({ size: { minReady: 0 }, template: { warmup: [['sleep', '100']] } }), name: 'slow' },
  {
    ...smallPool({
      size: { minReady: 0, targetHitRatio: 0 },
      template: { ready: { exec: ['sleep', '100'] }, bootTimeout: '1s' },
    }),
    name: 'never',
  },
];

badInput('the embedded store', noBubblewrap, {});
badInput('Redis', noBubblewrap || noRedis, { REDIS_URL: redis?.url ?? '' });

/** Each row of the "Bad input and faults" that a client can cause, against a real service with two tenants. */
function badInput(store: string, skip: string | false, storeEnv: Readonly<Record<string, string>>): void {
  describe(`a service on bubblewrap and ${store}`, { skip }, () => {
    let service: TestService;
    let raw: RawClients;
    let client: WarmpoolClient;
    let bobs: WarmpoolClient;
    let id: string;
    const mine = bearer(alice.key);
    const his = bearer(bob.key);

    before(async () => {
      const env = {
        WARMPOOL_RUNTIME: 'bubblewrap',
        WARMPOOL_API_KEYS: `${alice.entry},${bob.entry}`,
        ...storeEnv,
      };
      service = await TestService.start({ pools, env });
      raw = new RawClients(service.grpc);
      client = connect(service.grpc, { apiKey: alice.key });
      bobs = connect(service.grpc, { apiKey: bob.key });
      ({ id } = await client.create('base'));
    });
    after(async () => {
      bobs?.close();
      client?.close();
      raw?.[Symbol.dispose]();
      await service?.[Symbol.asyncDispose]();
    });

    test('an unknown template is NOT_FOUND and names the field', async () => {
      const failure = await failureOf((done) =>
        raw.sandboxes.createSandbox({ template: 'nowhere' }, mine, done),
      );
      assertFailure(failure, 'NOT_FOUND', 'TEMPLATE_NOT_FOUND', 'template');
    });

    const create = (body: object): Send => {
      return (done) => raw.sandboxes.createSandbox({ template: 'base', ...body }, mine, done);
    };
    const exec = (body: object): Send => {
      return (done) => raw.commands.exec({ sandboxId: id, argv: ['true'], ...body }, mine, done);
    };
    const entries = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v']));
    const week = { seconds: 7 * 24 * 3_600 };
    const absurd = { seconds: 315_576_000_000 };
    const rows: Readonly<Record<string, Row>> = {
      'no template': { send: create({ template: '' }), fields: ['template'] },
      'a template over 63 bytes': { send: create({ template: 'x'.repeat(64) }), fields: ['template'] },
      'too many variables': { send: create({ env: entries(257) }), fields: ['env'] },
      'a variable over 32 KiB': { send: create({ env: { A: 'x'.repeat(32_769) } }), fields: ['env.A'] },
      'a variable that is no name': { send: create({ env: { '1A': 'x' } }), fields: ['env.1A'] },
      'too much metadata': { send: create({ metadata: entries(65) }), fields: ['metadata'] },
      'a reserved key': { send: create({ metadata: { 'warmpool.x': '' } }), fields: ['metadata.warmpool.x'] },
      'metadata over 1 KiB': { send: create({ metadata: { a: 'x'.repeat(1_025) } }), fields: ['metadata.a'] },
      'a user over 128 bytes': { send: create({ user: 'u'.repeat(129) }), fields: ['user'] },
      'a relative cwd': { send: create({ cwd: 'tmp' }), fields: ['cwd'] },
      'a cwd over 4,096 bytes': { send: create({ cwd: `/${'x'.repeat(4_096)}` }), fields: ['cwd'] },
      'a request id over 128 bytes': { send: create({ requestId: 'r'.repeat(129) }), fields: ['request_id'] },
      'a request id with a space': { send: create({ requestId: 'a b' }), fields: ['request_id'] },
      'a negative timeout': { send: create({ timeout: { seconds: -1 } }), fields: ['timeout'] },
      'a timeout of nothing': { send: create({ timeout: { seconds: 0 } }), fields: ['timeout'] },
      'a timeout over a week': {
        send: create({ timeout: { seconds: week.seconds + 1 } }),
        fields: ['timeout'],
      },
      'a timeout over maxLifetime': { send: create({ timeout: week }), fields: ['timeout'] },
      'ten thousand years': { send: create({ timeout: absurd }), fields: ['timeout'] },
      'a negative wait': { send: create({ wait: { seconds: -1 } }), fields: ['wait'] },
      'an absurd wait': { send: create({ wait: absurd }), fields: ['wait'] },
      'a wait that nobody waits': {
        send: create({ wait: { seconds: 1 }, onMiss: 'ON_MISS_FAIL' }),
        fields: ['wait'],
      },
      'a negative ttl': {
        send: (done) => raw.sandboxes.keepAlive({ id, ttl: { seconds: -1 } }, mine, done),
        fields: ['ttl'],
      },
      'an absurd ttl': {
        send: (done) => raw.sandboxes.keepAlive({ id, ttl: absurd }, mine, done),
        fields: ['ttl'],
      },
      'an absurd new timeout': {
        send: (done) => raw.sandboxes.setTimeout({ id, timeout: absurd }, mine, done),
        fields: ['timeout'],
      },
      'no command': { send: exec({ argv: [] }), fields: ['argv'] },
      'an empty command': { send: exec({ argv: [''] }), fields: ['argv[0]'] },
      'a NUL in an argument': { send: exec({ argv: ['echo', 'a\0b'] }), fields: ['argv[1]'] },
      'arguments over 60,000 bytes': { send: exec({ argv: ['echo', 'x'.repeat(60_001)] }), fields: ['argv'] },
      'stdin over 1 MiB': { send: exec({ stdin: Buffer.alloc(1_048_577) }), fields: ['stdin'] },
      'an absurd output limit': {
        send: exec({ outputLimitBytes: 4_294_967_295 }),
        fields: ['output_limit_bytes'],
      },
      'an absurd command timeout': { send: exec({ timeout: absurd }), fields: ['timeout'] },
      'a page of a million': {
        send: (done) => raw.sandboxes.listSandboxes({ pageSize: 1_000_000 }, mine, done),
        fields: ['page_size'],
      },
      'a page token of somebody’s making': {
        send: (done) => raw.sandboxes.listSandboxes({ pageToken: 'AAAA' }, mine, done),
        fields: ['page_token'],
      },
      'sizes that contradict each other': {
        send: (done) => raw.pools.scalePool({ name: 'base', minReady: 5, maxReady: 1 }, mine, done),
        fields: ['min_ready'],
      },
    };
    for (const [name, { send, fields }] of Object.entries(rows)) {
      test(`${name}: INVALID_ARGUMENT, naming ${fields.join(' and ')}`, async () => {
        assertFailure(await failureOf(send), 'INVALID_ARGUMENT', 'INVALID_REQUEST', ...fields);
      });
    }

    test('an event id of somebody’s making is INVALID_ARGUMENT', async () => {
      const watching = raw.sandboxes.watchSandboxes({ afterEventId: 'not-an-event' }, mine);
      assertFailure(await streamFailure(watching), 'INVALID_ARGUMENT', 'INVALID_REQUEST', 'after_event_id');
    });

    test('a request id twice: the same sandbox for the same body, INVALID_ARGUMENT for another', async () => {
      const body = { requestId: 'once', metadata: { a: '1', b: '2' } };
      const [first, second] = await Promise.all([client.create('base', body), client.create('base', body)]);
      assert.equal(second.id, first.id);
      assert.deepEqual([first.repeated, second.repeated].sort(), [false, true]);
      const reordered = { requestId: 'once', metadata: { b: '2', a: '1' } };
      assert.equal((await client.create('base', reordered)).id, first.id);
      const other = await failureOf(create({ requestId: 'once', metadata: { a: '2' } }));
      assertFailure(other, 'INVALID_ARGUMENT', 'REQUEST_ID_REUSED', 'request_id');
      const foreign = await bobs.create('base', body);
      assert.notEqual(foreign.id, first.id);
      await client.delete(first.id);
      await bobs.delete(foreign.id);
    });

    type Failures = Readonly<Record<string, Promise<Failure>>>;
    /** The calls that need a sandbox to be running, as failures. */
    const usesOf = (sandboxId: string, key: typeof mine): Failures => ({
      KeepAlive: failureOf((done) => raw.sandboxes.keepAlive({ id: sandboxId }, key, done)),
      SetTimeout: failureOf((done) =>
        raw.sandboxes.setTimeout({ id: sandboxId, timeout: { seconds: 60 } }, key, done),
      ),
      Exec: failureOf((done) => raw.commands.exec({ sandboxId, argv: ['true'] }, key, done)),
      ExecStream: (() => {
        const stream = raw.commands.execStream(key);
        stream.write({ start: { sandboxId, argv: ['true'] } });
        return streamFailure(stream);
      })(),
    });
    /** All calls that name a sandbox, as failures. */
    const callsOf = (sandboxId: string, key: typeof mine): Failures => ({
      GetSandbox: failureOf((done) => raw.sandboxes.getSandbox({ id: sandboxId }, key, done)),
      DeleteSandbox: failureOf((done) => raw.sandboxes.deleteSandbox({ id: sandboxId }, key, done)),
      ...usesOf(sandboxId, key),
    });

    test('an id that nobody has, of the right shape or of any other, is NOT_FOUND', async () => {
      for (const unknown of [newSandboxId(0), 'nonsense', '../../etc/passwd', 'x'.repeat(100_000)]) {
        for (const [call, failure] of Object.entries(callsOf(unknown, mine))) {
          assertFailure(await failure, 'NOT_FOUND', 'SANDBOX_NOT_FOUND');
          assert.ok((await failure).message.length < 1_000, call);
        }
      }
    });

    test('A4 a foreign key’s sandbox is NOT_FOUND in the very words of one that never was', async () => {
      const never = newSandboxId(0);
      const foreign = callsOf(id, his);
      const unknown = callsOf(never, his);
      for (const [call, failure] of Object.entries(foreign)) {
        const [one, other] = [await failure, await unknown[call]];
        assertFailure(one, 'NOT_FOUND', 'SANDBOX_NOT_FOUND');
        assert.deepEqual(one.message.replaceAll(id, ''), other?.message.replaceAll(never, ''), call);
      }
      const renewals = raw.sandboxes.keepAliveStream(his);
      renewals.write({ id });
      renewals.end();
      for await (const answer of renewals) assert.equal(answer.error?.reason, 'SANDBOX_NOT_FOUND');
      assert.deepEqual((await bobs.listPage()).sandboxes, []);
      assert.equal((await client.get(id)).state, 'running');
    });

    test('A4 a watch holds the own sandboxes only, and resumes after any event', async () => {
      const stop = new AbortController();
      const seen: { id: string; to: string; eventId: string }[] = [];
      let begun: () => void = () => {};
      const watchIsOn = new Promise<void>((resolve) => {
        begun = resolve;
      });
      const watching = (async () => {
        for await (const event of client.watch({ onReady: begun }, { signal: stop.signal })) {
          seen.push({ id: event.id, to: event.to, eventId: event.eventId });
          if (event.to === 'stopped') stop.abort();
        }
      })();
      await watchIsOn;
      await bobs.delete((await bobs.create('base')).id);
      const own = (await client.create('base')).id;
      await client.delete(own);
      await watching;
      assert.deepEqual([...new Set(seen.map((event) => event.id))], [own]);
      assert.deepEqual(seen.map((event) => event.to).slice(-3), ['running', 'stopping', 'stopped']);

      for (const [index, { eventId }] of seen.slice(0, -1).entries()) {
        const rest: string[] = [];
        const enough = new AbortController();
        for await (const event of client.watch({ afterEventId: eventId }, { signal: enough.signal })) {
          rest.push(event.eventId);
          if (event.to === 'stopped') enough.abort();
        }
        assert.deepEqual(
          rest,
          seen.slice(index + 1).map((event) => event.eventId),
        );
      }
    });

    test('A1 A3 without a key, with an unknown one, and without the scope nothing is done', async () => {
      const unkeyed = await failureOf((done) => raw.sandboxes.createSandbox({ template: 'base' }, done));
      assertFailure(unkeyed, 'UNAUTHENTICATED', 'UNAUTHENTICATED');
      const stranger = bearer(newApiKey('alice').key);
      const unknown = await failureOf((done) =>
        raw.sandboxes.createSandbox({ template: 'base' }, stranger, done),
      );
      assertFailure(unknown, 'UNAUTHENTICATED', 'UNAUTHENTICATED');
      const unscoped = await failureOf((done) =>
        raw.pools.scalePool({ name: 'base', minReady: 0 }, his, done),
      );
      assertFailure(unscoped, 'PERMISSION_DENIED', 'PERMISSION_DENIED');
      assert.equal((await client.pool('base')).minReady, 2);
    });

    test('an unknown pool is NOT_FOUND', async () => {
      const get = await failureOf((done) => raw.pools.getPool({ name: 'nowhere' }, mine, done));
      assertFailure(get, 'NOT_FOUND', 'POOL_NOT_FOUND');
      const scale = await failureOf((done) =>
        raw.pools.scalePool({ name: 'nowhere', minReady: 1 }, mine, done),
      );
      assertFailure(scale, 'NOT_FOUND', 'POOL_NOT_FOUND');
    });

    test('what is not running yet is FAILED_PRECONDITION to use and can be deleted', async () => {
      const requestId = 'still-booting';
      let giveUp: () => void = () => {};
      const create = failureOf((done) => {
        const call = raw.sandboxes.createSandbox({ template: 'slow', requestId }, mine, done);
        giveUp = () => call.cancel();
      });
      const boots = async () => (await client.listPage({ template: 'slow' })).sandboxes;
      await eventually(async () => (await boots()).length === 1, 'the boot begins');
      giveUp();
      assert.equal((await create).status, 'CANCELLED');
      const [booting] = await boots();
      assert.equal(booting?.state, 'starting');
      for (const failure of Object.values(usesOf(booting?.id ?? '', mine))) {
        assertFailure(await failure, 'FAILED_PRECONDITION', 'SANDBOX_WRONG_STATE');
        assert.equal((await failure).details.metadata.state, 'starting');
      }
      await client.delete(booting?.id ?? '');
      assertFailure(
        await failureOf((done) => raw.sandboxes.getSandbox({ id: booting?.id ?? '' }, mine, done)),
        'NOT_FOUND',
        'SANDBOX_NOT_FOUND',
      );
    });

    test('a boot that never becomes ready is UNAVAILABLE with its reason and a time to retry, and leaves the pool usable', async () => {
      const failure = await failureOf((done) =>
        raw.sandboxes.createSandbox({ template: 'never' }, mine, done),
      );
      assertFailure(failure, 'UNAVAILABLE', 'BOOT_FAILED');
      assert.match(failure.message, /did not finish within 1 s/);
      assert.ok((failure.details.retryAfterMs ?? 0) > 0);
      const { live, ready } = await client.pool('never');
      assert.deepEqual({ live, ready }, { live: 0, ready: 0 });
    });

    test('no capacity is RESOURCE_EXHAUSTED with a time to retry, however it is asked for', async () => {
      const only = await client.create('one');
      const asks = [{}, { onMiss: 'ON_MISS_FAIL' }, { wait: { nanos: 200_000_000 } }] as const;
      for (const ask of asks) {
        const failure = await failureOf(create({ template: 'one', ...ask }));
        assertFailure(failure, 'RESOURCE_EXHAUSTED', 'NO_CAPACITY');
        assert.ok((failure.details.retryAfterMs ?? 0) > 0);
        assert.equal(failure.details.metadata.pool, 'one');
      }
      await client.delete(only.id);
      const next = await client.create('one');
      await client.delete(next.id);
    });

    test('a deadline ends the call and the command with it', async () => {
      const marker = '98765.4321';
      const looks = `grep -qsz "^${marker}$" /proc/[0-9]*/cmdline`;
      const control = await client.exec({
        sandboxId: id,
        argv: ['sh', '-c', `sleep ${marker} & until ${looks}; do :; done; kill $!; echo seen`],
        timeoutMs: 60_000,
      });
      assert.equal(control.stdout.toString(), 'seen\n');
      const late = await failureOf((done) =>
        raw.commands.exec(
          { sandboxId: id, argv: ['sleep', marker] },
          mine,
          { deadline: Date.now() + 500 },
          done,
        ),
      );
      assert.equal(late.status, 'DEADLINE_EXCEEDED');
      const script = `while ${looks}; do :; done; echo gone`;
      const looked = await client.exec({ sandboxId: id, argv: ['sh', '-c', script], timeoutMs: 60_000 });
      assert.equal(looked.stdout.toString(), 'gone\n');
    });

    test('I18 no key and no value of an environment is in any log line or metric', async () => {
      const secret = 'canary-7c1f';
      const { id: own } = await client.create('base', { env: { TOKEN: secret }, metadata: { note: secret } });
      await client.exec({
        sandboxId: own,
        argv: ['sh', '-c', `echo ${secret} "$TOKEN"; exit 3`],
        env: { B: secret },
      });
      await client.delete(own);
      const metrics = await (await fetch(`${service.http}/metrics`)).text();
      const said = [...service.lines.map((line) => JSON.stringify(line)), service.stderr, metrics].join('\n');
      for (const word of [secret, alice.key, bob.key, Buffer.from(secret).toString('base64').slice(0, 12)])
        assert.ok(!said.includes(word), `${word} was said`);
    });

    test('nothing of all this was taken, and the service goes on', async () => {
      const left = async () => {
        const { sandboxes } = await client.listPage({ states: ['starting', 'running', 'stopping'] });
        return sandboxes.map((sandbox) => sandbox.id);
      };
      await eventually(async () => (await left()).length === 1, 'what was given up is gone');
      assert.deepEqual(await left(), [id]);
      const said = await client.exec({ sandboxId: id, argv: ['echo', 'fine'] });
      assert.equal(said.stdout.toString(), 'fine\n');
      assert.deepEqual(
        service.lines.filter((line) => line.level === 'error').map((line) => line.msg),
        [],
      );
    });
  });
}

function assertFailure(failure: Failure, status: string, reason: string, ...fields: string[]): void {
  assert.deepEqual([failure.status, failure.details.reason], [status, reason], failure.message);
  assert.deepEqual(
    failure.details.violations.map(({ field }) => field),
    fields,
  );
}

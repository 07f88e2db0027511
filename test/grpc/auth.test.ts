import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Metadata, ServiceError } from '@grpc/grpc-js';
import { type KeyEntry, newApiKey } from '../../src/auth/api-keys.ts';
import { type Scope, scopes } from '../../src/domain/scopes.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { bearer, type Failure, failureOf, RawClients, streamFailure } from '../support/grpc-raw.ts';
import { HealthClient } from '../support/health-client.ts';

const entries: KeyEntry[] = [];
const acme = keyOf('acme', [...scopes]);
const globex = keyOf('globex', [...scopes]);
/** For each scope a key that has all the others. */
const wrongScopes = Object.fromEntries(
  scopes.map((scope) => [
    scope,
    keyOf(
      'acme',
      scopes.filter((other) => other !== scope),
    ),
  ]),
) as Readonly<Record<Scope, string>>;
const { address, connect, allocator } = await grpcFixture(entries);
const raw = new RawClients(address);
test.after(() => raw.sandboxes.close());
const { id } = await connect(acme).create('base');

type Call = (metadata: Metadata) => Promise<Failure>;
const unary =
  <Request>(
    send: (request: Request, metadata: Metadata, done: (error: ServiceError | null) => void) => unknown,
    request: Request,
  ): Call =>
  (metadata) =>
    failureOf((done) => send(request, metadata, done));

const ofFiles = { scope: 'files', byId: true } as const;
const { sandboxes, commands, files, pools, nodes } = raw;
const ofNodes = { scope: 'admin', byId: false } as const;
const place = { sandboxId: id, path: '/tmp' };
const calls: Readonly<
  Record<string, { readonly call: Call; readonly scope: Scope; readonly byId: boolean }>
> = {
  CreateSandbox: { call: unary(sandboxes.createSandbox.bind(sandboxes), {}), scope: 'claim', byId: false },
  GetSandbox: { call: unary(sandboxes.getSandbox.bind(sandboxes), { id }), scope: 'claim', byId: true },
  ListSandboxes: {
    call: unary(sandboxes.listSandboxes.bind(sandboxes), { states: [0] }),
    scope: 'claim',
    byId: false,
  },
  DeleteSandbox: { call: unary(sandboxes.deleteSandbox.bind(sandboxes), { id }), scope: 'claim', byId: true },
  KeepAlive: { call: unary(sandboxes.keepAlive.bind(sandboxes), { id }), scope: 'claim', byId: true },
  KeepAliveStream: { call: keepAliveStream, scope: 'claim', byId: false },
  SetTimeout: {
    call: unary(sandboxes.setTimeout.bind(sandboxes), { id, timeout: { seconds: 60 } }),
    scope: 'claim',
    byId: true,
  },
  WatchSandboxes: {
    call: (metadata) => streamFailure(sandboxes.watchSandboxes({ afterEventId: 'garbage' }, metadata)),
    scope: 'claim',
    byId: false,
  },
  Exec: {
    call: unary(commands.exec.bind(commands), { sandboxId: id, argv: ['true'] }),
    scope: 'exec',
    byId: true,
  },
  ExecStream: { call: execStream, scope: 'exec', byId: true },
  ListProcesses: {
    call: unary(commands.listProcesses.bind(commands), { sandboxId: id }),
    scope: 'exec',
    byId: true,
  },
  ReadFile: { call: (metadata) => streamFailure(files.readFile(place, metadata)), ...ofFiles },
  WriteFile: { call: upload((...given) => files.writeFile(...given)), ...ofFiles },
  ReadTar: { call: (metadata) => streamFailure(files.readTar(place, metadata)), ...ofFiles },
  WriteTar: { call: upload((...given) => files.writeTar(...given)), ...ofFiles },
  WatchDir: { call: (metadata) => streamFailure(files.watchDir(place, metadata)), ...ofFiles },
  ListDir: { call: unary(files.listDir.bind(files), place), ...ofFiles },
  Stat: { call: unary(files.stat.bind(files), place), ...ofFiles },
  MakeDir: { call: unary(files.makeDir.bind(files), place), ...ofFiles },
  Rename: { call: unary(files.rename.bind(files), { ...place, to: 'x' }), ...ofFiles },
  Remove: { call: unary(files.remove.bind(files), place), ...ofFiles },
  Change: { call: unary(files.change.bind(files), { ...place, mode: 0o644 }), ...ofFiles },
  ListPools: { call: unary(pools.listPools.bind(pools), {}), scope: 'claim', byId: false },
  GetPool: { call: unary(pools.getPool.bind(pools), {}), scope: 'claim', byId: false },
  ScalePool: { call: unary(pools.scalePool.bind(pools), {}), scope: 'admin', byId: false },
  ListNodes: { call: unary(nodes.listNodes.bind(nodes), {}), ...ofNodes },
  GetNode: { call: unary(nodes.getNode.bind(nodes), {}), ...ofNodes },
  CordonNode: { call: unary(nodes.cordonNode.bind(nodes), {}), ...ofNodes },
  UncordonNode: { call: unary(nodes.uncordonNode.bind(nodes), {}), ...ofNodes },
  DrainNode: { call: unary(nodes.drainNode.bind(nodes), {}), ...ofNodes },
};

test('the table of this test has every method of the contract', () => {
  const methods = [sandboxes, commands, files, pools, nodes].flatMap((client) =>
    Object.keys(Object.getPrototypeOf(client)).filter((name) => /^[A-Z]/.test(name)),
  );
  assert.deepEqual(methods.sort(), Object.keys(calls).sort());
});

for (const [method, { call, scope, byId }] of Object.entries(calls)) {
  test(`A1 ${method} is refused without a key, and with one that nobody has`, async () => {
    const headers = [bearer(newApiKey('acme').key), bearer('wp_'), bearer('')];
    const basic = bearer('');
    basic.set('authorization', `Basic ${acme}`);
    const none = bearer('');
    none.remove('authorization');
    for (const metadata of [...headers, basic, none]) {
      const failure = await call(metadata);
      assert.equal(failure.status, 'UNAUTHENTICATED');
      assert.equal(failure.details.reason, 'UNAUTHENTICATED');
      assert.match(failure.message, /send "authorization: Bearer wp_…"/);
    }
  });

  test(`A3 ${method} needs the scope ${scope}, and no other helps`, async () => {
    const without = await call(bearer(wrongScopes[scope]));
    assert.equal(without.status, 'PERMISSION_DENIED');
    assert.deepEqual(without.details.metadata, { scope });
  });

  if (byId) {
    test(`A4 ${method} finds a foreign sandbox as little as one that never was`, async () => {
      const foreign = await call(bearer(globex));
      assert.equal(foreign.status, 'NOT_FOUND');
      assert.equal(foreign.details.reason, 'SANDBOX_NOT_FOUND');
      assert.equal(foreign.message, `no sandbox has the id "${id}"`);
      assert.deepEqual(foreign.details.metadata, {});
    });
  }
}

test('A4 lists, renewals and events hold the own sandboxes only', async () => {
  const other = connect(globex);
  assert.deepEqual((await other.listPage()).sandboxes, []);
  const session = other.keepAliveStream();
  await assert.rejects(session.renew(id), { code: 'SANDBOX_NOT_FOUND' });
  session.close();
  const stop = new AbortController();
  const seen: string[] = [];
  let made: Promise<string> | undefined;
  const act = async () => {
    await connect(acme).create('base');
    return (await other.create('base')).id;
  };
  const onReady = () => {
    made = act();
  };
  for await (const event of other.watch({ onReady }, { signal: stop.signal })) {
    seen.push(event.id);
    stop.abort();
  }
  assert.deepEqual(seen, [await made]);
});

test('nothing reached the allocator that was not let in', () => {
  assert.equal(allocator.processes.length, 0);
  assert.equal(allocator.spawns.length, 2, 'the two foreign attempts, which it refused');
});

test('health needs no key', async () => {
  using health = new HealthClient(address);
  assert.equal(await health.check(''), 'SERVING');
});

function keyOf(tenant: string, keyScopes: readonly Scope[]): string {
  const { key, entry } = newApiKey(tenant, keyScopes);
  entries.push({ tenant, sha256: entry.split(':')[1] ?? '', scopes: keyScopes });
  return key;
}

function keepAliveStream(metadata: Metadata): Promise<Failure> {
  const stream = raw.sandboxes.keepAliveStream(metadata);
  const failed = streamFailure(stream);
  stream.write({ id });
  return failed;
}

function execStream(metadata: Metadata): Promise<Failure> {
  const stream = raw.commands.execStream(metadata);
  const failed = streamFailure(stream);
  stream.write({ start: { sandboxId: id, argv: ['true'] } });
  return failed;
}

/** A stream whose first message is a header. */
function upload(
  open: (
    metadata: Metadata,
    done: (error: ServiceError | null) => void,
  ) => { write(message: { header: typeof place }): unknown; end(): unknown },
): Call {
  return (metadata) =>
    failureOf((done) => {
      const stream = open(metadata, done);
      stream.write({ header: place });
      stream.end();
    });
}

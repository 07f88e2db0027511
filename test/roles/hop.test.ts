import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { newDataKey } from '../../src/auth/data-key.ts';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import { Warmpool } from '../../src/client/node/warmpool.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { Certificate, noOpenssl } from '../support/certificate.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import type { TestService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { XgenClient } from '../xgen/xgen-client.ts';
import { owner, SplitService } from './split-service.ts';

const missing = (await requirement('bubblewrap')).skip || (await requirement('redis')).skip;
const pools = [{ name: 'base', size: { minReady: 2, maxReady: 4, maxTotal: 16 } }];

/** Of the node, and its own authority. Where there is none, the rest of it is tested without TLS. */
const certificate = noOpenssl ? null : new Certificate();
after(() => certificate?.[Symbol.dispose]());
const nodeTls = certificate && {
  WARMPOOL_DATA_CERT_FILE: certificate.certFile,
  WARMPOOL_DATA_CERT_KEY_FILE: certificate.keyFile,
};
const trusting = certificate && { WARMPOOL_NODE_CA_FILE: certificate.certFile };

describe('one node that has TLS and a public key, and two allocators', { skip: missing }, () => {
  let redis: RedisServer;
  let service: SplitService;
  let allocators: TestService[] = [];
  let clients: WarmpoolClient[] = [];

  before(async () => {
    redis = await RedisServer.start({ aof: true });
    service = new SplitService(redis.url, pools);
    const node = service.start('node', { verifiesOnly: true, env: { ...nodeTls } });
    const env = { ...trusting };
    allocators = await Promise.all([
      service.start('allocator', { env }),
      service.start('allocator', { env }),
    ]);
    await node;
    clients = allocators.map(({ grpc }) => connect(grpc, { apiKey: owner.key }));
    await until(async () => (await first().pool('base')).ready >= 2, 'the node to fill its pool');
  });
  after(async () => {
    for (const client of clients) client.close();
    await service?.[Symbol.asyncDispose]();
    await redis?.stop();
  });

  function first(): WarmpoolClient {
    const [client] = clients;
    assert.ok(client);
    return client;
  }

  test('a sandbox that one allocator has given out runs commands by way of either', async () => {
    for (const creator of clients) {
      const sandbox = await creator.create('base', { env: { GREETING: 'hello' } });
      for (const client of clients) {
        const argv = ['sh', '-c', 'echo $GREETING; cat'];
        const done = await client.exec({ sandboxId: sandbox.id, argv, stdin: Buffer.from('in') });
        assert.equal(done.stdout.toString(), 'hello\nin');
        assert.equal(done.exitCode, 0);
      }
      await assert.rejects(
        first().exec({ sandboxId: sandbox.id, argv: ['no-such-command'] }),
        (error) => isWarmpoolError(error) && error.code === 'COMMAND_NOT_FOUND',
      );
      await creator.delete(sandbox.id);
      await assert.rejects(
        first().exec({ sandboxId: sandbox.id, argv: ['true'] }),
        (error) => isWarmpoolError(error) && error.code === 'SANDBOX_NOT_FOUND',
      );
    }
  });

  test('input and output of more than one window come whole through the hop, with many commands at once', async () => {
    const sandbox = await first().create('base');
    const bytes = 600_000;
    const runs = Array.from({ length: 12 }, async () => {
      const stdin = randomBytes(bytes);
      const { stdout, exitCode } = await first().exec({
        ...{ sandboxId: sandbox.id, argv: ['cat'], stdin, outputLimitBytes: bytes },
      });
      assert.equal(exitCode, 0);
      assert.ok(stdout.equals(stdin), `${stdout.length} bytes came back`);
    });
    await Promise.all(runs);
    await first().delete(sandbox.id);
  });

  test('a native socket of an allocator carries a terminal and a file of some MB', async () => {
    using warmpool = new Warmpool({ address: allocators[1]?.grpc, apiKey: owner.key });
    await using sandbox = await warmpool.create('base');
    const content = randomBytes(5_000_000);
    const sha256 = createHash('sha256').update(content).digest('hex');
    const written = await sandbox.files.write('big', content);
    assert.equal(written.sha256, sha256);
    const read = await sandbox.files.read('big', { bytesMax: content.length });
    assert.equal(createHash('sha256').update(read).digest('hex'), sha256);

    const terminal = await sandbox.pty({ command: ['sh', '-c', 'stty size; read line; echo "<$line>"'] });
    let shown = '';
    for await (const bytes of terminal.output) {
      const hadSize = shown.includes('24 80');
      shown += Buffer.from(bytes).toString();
      if (!hadSize && shown.includes('24 80')) await terminal.write('typed\n');
    }
    assert.match(shown, /<typed>/);
    assert.equal((await terminal.wait()).exitCode, 0);
  });

  test('an xgen socket of an allocator runs commands and reads files', async () => {
    const sandbox = await first().create('base');
    const url = `${allocators[0]?.http.replace('http', 'ws')}/api/v1/sandboxes/${sandbox.id}/ws`;
    using socket = await XgenClient.connect(url, { headers: { authorization: `ApiKey ${owner.key}` } });
    const { stdout, exitCode } = await socket.sh(7, 'echo from xgen > note; cat note');
    assert.equal(stdout, 'from xgen\n');
    assert.equal(exitCode, 0);
    await first().delete(sandbox.id);
  });

  test('D7 D11 a socket ends with its sandbox, and says why', async () => {
    using warmpool = new Warmpool({ address: allocators[0]?.grpc, apiKey: owner.key });
    const sandbox = await warmpool.create('base');
    assert.equal((await sandbox.exec('true')).exitCode, 0);
    const reasons: unknown[] = [];
    sandbox.onLease((notice) => notice.kind === 'ending' && reasons.push(notice.reason));
    await clients[1]?.delete(sandbox.id);
    await until(() => reasons.length > 0, 'the notice of the end');
    assert.deepEqual(reasons, ['deleted']);
    sandbox.close();
  });

  test('an allocator with another key is refused by the node, and says what to do', async () => {
    const stranger = await service.start('allocator', { key: newDataKey(), env: { ...trusting } });
    const client = connect(stranger.grpc, { apiKey: owner.key });
    const sandbox = await client.create('base');
    await assert.rejects(client.exec({ sandboxId: sandbox.id, argv: ['true'] }), (error) => {
      assert.ok(isWarmpoolError(error));
      assert.equal(error.code, 'NODE_UNREACHABLE');
      assert.match(error.message, /the same key \(WARMPOOL_DATA_KEY\)/);
      return true;
    });
    await stranger.logged('a node cannot be used');
    client.close();
    await first().delete(sandbox.id);
  });

  test('a killed allocator takes nothing with it', async () => {
    const [, doomed] = allocators;
    const [, client] = clients;
    assert.ok(doomed && client);
    const sandbox = await client.create('base');
    await client.exec({ sandboxId: sandbox.id, argv: ['sh', '-c', 'echo kept > ~/kept'] });
    await doomed.kill('SIGKILL');
    const { stdout } = await first().exec({ sandboxId: sandbox.id, argv: ['sh', '-c', 'cat ~/kept'] });
    assert.equal(stdout.toString(), 'kept\n');
    await first().delete(sandbox.id);
  });
});

describe('a cold start', { skip: missing }, () => {
  test('is booted by whichever node it was placed on', async () => {
    await using redis = await RedisServer.start();
    const none = [{ name: 'base', size: { minReady: 0, maxReady: 0, maxTotal: 64 } }];
    await using service = new SplitService(redis.url, none);
    const nodes = await Promise.all([service.start('node'), service.start('node')]);
    const allocator = await service.start('allocator');
    const client = connect(allocator.grpc, { apiKey: owner.key });
    const used = new Set<string>();
    // The allocator looks for nodes once a second.
    await until(
      () =>
        client.create('base').then(
          () => true,
          () => false,
        ),
      'the allocator to know of a node',
    );
    // Placement draws lots: that the same node wins so many times in a row is as good as impossible.
    for (let count = 0; count < 40 && used.size < nodes.length; count += 1) {
      const sandbox = await client.create('base');
      const done = await client.exec({ sandboxId: sandbox.id, argv: ['echo', 'up'] });
      assert.equal(done.stdout.toString(), 'up\n');
      used.add(sandbox.nodeId);
    }
    assert.deepEqual([...used].sort(), nodes.map(({ folder }) => folder.nodeId).sort());
    client.close();
  });
});

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect } from '../../src/client/grpc-client.ts';
import { Sandbox } from '../../src/client/node/entry-node.ts';
import { dockerEngineMissing, ensureBaseImage, useDockerEngine } from '../support/docker-engine.ts';
import { RedisServer } from '../support/redis-server.ts';
import { requirement } from '../support/requirements.ts';
import { ServiceFolder, TestService } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { CollectedText } from './collected-text.ts';
import { TcpProxy } from './tcp-proxy.ts';

const noDocker = dockerEngineMissing() ?? false;
const noRedis = (await requirement('redis')).skip;
const engine = noDocker === false ? await useDockerEngine() : null;
if (engine) await ensureBaseImage(engine.dockerHost);
const redis = noRedis === false ? await RedisServer.start({ aof: true }) : null;
after(async () => {
  await redis?.stop();
  await engine?.[Symbol.asyncDispose]();
});

const dockerHost = engine?.dockerHost ?? '';
const env = { WARMPOOL_RUNTIME: 'docker', DOCKER_HOST: dockerHost, REDIS_URL: redis?.url ?? '' };

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`D16 I12 a claimed sandbox outlives ${signal} of its service, and its terminal goes on with the next start, byte by byte, on docker with redis`, {
    skip: noDocker || noRedis,
  }, async () => {
    using folder = new ServiceFolder([{ name: 'base', size: { minReady: 1, maxReady: 1 } }]);
    await using first = await TestService.start({ pools: [], folder, env });
    using before = connect(first.grpc);
    const view = await before.create('base', { timeoutMs: 600_000 });
    await before.exec({ sandboxId: view.id, argv: ['sh', '-c', 'echo kept > ~/note'] });
    await using proxy = await TcpProxy.start(view.wsUrl);
    const reconnect = { firstPauseMs: 10, pauseMsMax: 200 };
    const wsUrl = proxy.urlOf(view.wsUrl);
    await using sandbox = await Sandbox.connect({ wsUrl, token: view.dataToken, reconnect });
    const terminal = await sandbox.pty({ command: countAndListen, replayBytes: 1_048_576 });
    const output = new CollectedText(terminal.output);
    await output.has('count 20\n');
    await first.kill(signal);

    await using second = await TestService.start({ pools: [], folder, env });
    using client = connect(second.grpc);
    const note = await client.exec({ sandboxId: view.id, argv: ['cat', '/home/user/note'] });
    assert.equal(note.stdout.toString(), 'kept\n');
    proxy.retarget((await client.get(view.id)).wsUrl);
    await terminal.write('stop\n');
    await output.has('stopped\n');
    assert.equal((await terminal.wait()).exitCode, 6);
    await output.ended;
    const counted = output.text.split('\n').filter((line) => line.startsWith('count '));
    assert.ok(counted.length > 20);
    assert.deepEqual(
      counted,
      counted.map((_, index) => `count ${index}`),
    );
    assert.equal(output.text, `${counted.join('\n')}\nstopped\n`);
    assert.equal((await sandbox.exec('echo again')).stdout, 'again\n');
    await client.delete(view.id);
    await client.scalePool('base', { minReady: 0, maxReady: 0 });
    await untilNoTraces(folder, dockerHost);
  });
}

/** Prints numbers until somebody types a line. */
const countAndListen =
  'stty raw -echo; (i=0; while [ ! -e /tmp/stop ]; do echo "count $i"; i=$((i+1)); sleep 0.05; done) & ' +
  'read x; touch /tmp/stop; wait; echo stopped; exit 6';

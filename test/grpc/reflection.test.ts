import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/package-root.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';

const { address } = await grpcFixture();
const run = promisify(execFile);

test('a strict client finds its way by reflection: lists, calls, streams, reads errors', async () => {
  const methods = await buf('--list-methods', `http://${address}`);
  assert.deepEqual(methods.trim().split('\n').sort(), [
    'grpc.health.v1.Health/Check',
    'grpc.health.v1.Health/List',
    'grpc.health.v1.Health/Watch',
    'warmpool.v1.ExecService/Exec',
    'warmpool.v1.ExecService/ExecStream',
    'warmpool.v1.ExecService/ListProcesses',
    'warmpool.v1.FileService/Change',
    'warmpool.v1.FileService/ListDir',
    'warmpool.v1.FileService/MakeDir',
    'warmpool.v1.FileService/ReadFile',
    'warmpool.v1.FileService/ReadTar',
    'warmpool.v1.FileService/Remove',
    'warmpool.v1.FileService/Rename',
    'warmpool.v1.FileService/Stat',
    'warmpool.v1.FileService/WatchDir',
    'warmpool.v1.FileService/WriteFile',
    'warmpool.v1.FileService/WriteTar',
    'warmpool.v1.NodeService/CordonNode',
    'warmpool.v1.NodeService/DrainNode',
    'warmpool.v1.NodeService/GetNode',
    'warmpool.v1.NodeService/ListNodes',
    'warmpool.v1.NodeService/UncordonNode',
    'warmpool.v1.PoolService/GetPool',
    'warmpool.v1.PoolService/ListPools',
    'warmpool.v1.PoolService/ScalePool',
    'warmpool.v1.SandboxService/CreateSandbox',
    'warmpool.v1.SandboxService/DeleteSandbox',
    'warmpool.v1.SandboxService/GetSandbox',
    'warmpool.v1.SandboxService/KeepAlive',
    'warmpool.v1.SandboxService/KeepAliveStream',
    'warmpool.v1.SandboxService/ListSandboxes',
    'warmpool.v1.SandboxService/SetTimeout',
    'warmpool.v1.SandboxService/WatchSandboxes',
  ]);
  const request = { template: 'base', timeout: '61.5s', metadata: { a: 'b' }, on_miss: 'ON_MISS_FAIL' };
  const created = JSON.parse(await call('SandboxService/CreateSandbox', request));
  assert.equal(created.sandbox.state, 'SANDBOX_STATE_RUNNING');
  assert.equal(created.sandbox.remaining, '61.500s');
  assert.equal(created.sandbox.expiresAt, '2030-01-02T03:05:07.178Z');
  assert.deepEqual(created.sandbox.metadata, { a: 'b' });

  const exec = { sandbox_id: created.sandbox.id, argv: ['exit', '0'] };
  assert.equal(JSON.parse(await call('ExecService/Exec', exec)).exitCode, 0);
  assert.equal(
    JSON.parse(await call('PoolService/ScalePool', { name: 'base', min_ready: 0 })).pool.name,
    'base',
  );
  await assert.rejects(call('SandboxService/CreateSandbox', { template: 'nope' }), /not_found/);
});

function call(method: string, request: object): Promise<string> {
  return buf('--data', JSON.stringify(request), `http://${address}/warmpool.v1.${method}`);
}

async function buf(...args: string[]): Promise<string> {
  const bin = join(packageRoot(), 'node_modules/@bufbuild/buf/bin/buf');
  const { stdout } = await run(process.execPath, [
    bin,
    'curl',
    '--http2-prior-knowledge',
    '--protocol',
    'grpc',
    ...args,
  ]);
  return stdout;
}

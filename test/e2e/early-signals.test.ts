import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { mainProgram } from '../support/node-program.ts';
import { requirement } from '../support/requirements.ts';
import { ServiceFolder } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { within } from '../support/within.ts';
import { smallPool } from './main-job.ts';

test('D19 a signal that comes while the service starts is heeded, not deadly', {
  skip: (await requirement('bubblewrap')).skip,
}, async () => {
  using folder = new ServiceFolder([smallPool()]);
  const service = spawn(process.execPath, [...mainProgram, 'serve'], {
    cwd: packageRoot(),
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      WARMPOOL_RUNTIME: 'bubblewrap',
      WARMPOOL_GRPC_LISTEN: '127.0.0.1:0',
      WARMPOOL_HTTP_LISTEN: '127.0.0.1:0',
      WARMPOOL_DATA_LISTEN: '127.0.0.1:0',
      WARMPOOL_STATE_DIR: folder.state,
      WARMPOOL_POOLS: folder.pools,
      WARMPOOL_NODE_ID: folder.nodeId,
    },
  });
  const ended = once(service, 'close');
  const lines: string[] = [];
  createInterface(service.stdout).on('line', (line) => {
    lines.push(line);
    if (!line.includes('"runtime found"')) return;
    service.kill('SIGHUP');
    service.kill('SIGTERM');
  });
  try {
    assert.deepEqual(await within(ended, () => `it goes on, after\n${lines.join('\n')}`), [0, null]);
  } finally {
    service.kill('SIGKILL');
  }
  assert.ok(lines.some((line) => line.includes('nothing is left behind')));
  await untilNoTraces(folder);
});

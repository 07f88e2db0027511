import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { bubblewrapAsRoot } from '../support/bubblewrap-sandboxes.ts';
import { mainProgram } from '../support/node-program.ts';
import { ServiceFolder } from '../support/service.ts';
import { untilNoTraces } from '../support/traces.ts';
import { ptyMissing } from './pseudo-terminal.ts';

/** Runs the command on a terminal of its own, closes that when the command serves, and prints how it ended. */
const driver = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
seen = b''
while b'npx warmpool run' not in seen: seen += os.read(terminal, 65536)
os.close(terminal)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

const skip = (await bubblewrapAsRoot()).skip || (ptyMissing ?? false);

test('a service whose terminal is closed drains, instead of going on with nobody to end it', {
  skip,
}, async () => {
  using folder = new ServiceFolder([{ name: 'base', size: { minReady: 1, maxReady: 1 } }]);
  const child = spawn('python3', ['-c', driver, process.execPath, ...mainProgram, 'serve'], {
    cwd: packageRoot(),
    stdio: ['ignore', 'pipe', 'inherit'],
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
  assert.equal(await text(child.stdout), '-1\n', 'by SIGHUP, when all is put away');
  await untilNoTraces(folder);
});

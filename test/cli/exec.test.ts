import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CliProcess, type CliResult } from '../support/cli-process.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { until } from '../support/until.ts';

const { client, allocator, address } = await grpcFixture();
const { id } = await client.create('base');

test('exec passes on both streams and the exit code', async () => {
  assert.deepEqual(await warmpool('exec', id, '--', 'echo', '--json', '-i'), {
    code: 0,
    stdout: '--json -i\n',
    stderr: '',
  });
  assert.deepEqual(await warmpool('exec', id, '--', 'warn', 'careful'), {
    code: 0,
    stdout: '',
    stderr: 'careful\n',
  });
  assert.equal((await warmpool('exec', id, '--', 'exit', '7')).code, 7);
});

test('exec carries its flags, and gives no stdin unless asked', async () => {
  const flags = ['--env', 'A=1', '--cwd', '/tmp', '--user', 'root', '--timeout', '5s'];
  await warmpool('exec', ...flags, id, '--', 'true');
  assert.deepEqual(allocator.spawns.at(-1), {
    sandboxId: id,
    argv: ['true'],
    env: { A: '1' },
    cwd: '/tmp',
    user: 'root',
    timeoutMs: 5_000,
    stdin: false,
  });
});

test('exec -i gives stdin on, to its end', async () => {
  const cat = start('exec', '-i', id, '--', 'cat');
  const text = 'a line\n'.repeat(100_000);
  cat.child.stdin.end(text);
  const { code, stdout } = await cat.result();
  assert.equal(code, 0);
  assert.equal(stdout, text);
});

test('exit codes are those of shells: 127 not found, 126 not executable, 124 out of time, 128 and the signal', async () => {
  const missing = await warmpool('exec', id, '--', 'missing');
  assert.deepEqual(missing, { code: 127, stdout: '', stderr: 'warmpool: missing: not found\n' });
  assert.equal((await warmpool('exec', id, '--', 'forbidden')).code, 126);
  assert.equal((await warmpool('exec', '--timeout', '1s', id, '--', 'timeout')).code, 124);
  const hang = start('exec', id, '--', 'hang');
  await spawned();
  hang.child.kill('SIGTERM');
  assert.equal((await hang.result()).code, 143);
  assert.equal((await warmpool('exec', 'unknown', '--', 'true')).code, 125);
});

test('the first Ctrl-C goes to the command, the second kills it', async () => {
  const trap = start('exec', id, '--', 'trap');
  await trap.printed('ready');
  trap.child.kill('SIGINT');
  await trap.printed('signal 2');
  trap.child.kill('SIGINT');
  const { code, stdout } = await trap.result();
  assert.equal(code, 137);
  assert.equal(stdout, 'ready\nsignal 2\n');
  const process = allocator.processes.at(-1);
  await process?.exited;
  assert.deepEqual(process?.signals.slice(0, 1), [2]);
});

test('D20 output goes as fast as its reader, and a reader that goes away ends the command', async () => {
  const flood = start('exec', id, '--', 'flood', '20000000');
  assert.equal((await flood.result()).stdout.length, 20_000_000);
  const cut = start('exec', id, '--', 'flood', '2000000000');
  await cut.printed('x');
  cut.child.stdout.destroy();
  assert.equal((await cut.result()).code, 141);
  assert.equal((await allocator.processes.at(-1)?.exited)?.signal, 9);
});

test('run takes a sandbox, runs the command, passes its code on, and ends the sandbox', async () => {
  const before = (await client.listPage()).sandboxes.length;
  const ran = await warmpool('run', 'base', '--metadata', 'by=run', '--', 'exit', '9');
  assert.deepEqual(ran, { code: 9, stdout: '', stderr: '' });
  assert.deepEqual(allocator.creates.at(-1)?.metadata, { by: 'run' });
  assert.equal((await client.listPage()).sandboxes.length, before);
});

test('run ends the sandbox however the command ends', async () => {
  const before = (await client.listPage()).sandboxes.length;
  assert.equal((await warmpool('run', 'base', '--', 'missing')).code, 127);
  const run = start('run', 'base', '--', 'trap');
  await run.printed('ready');
  assert.equal((await client.listPage()).sandboxes.length, before + 1);
  run.child.kill('SIGINT');
  await run.printed('signal 2');
  run.child.kill('SIGINT');
  assert.equal((await run.result()).code, 137);
  assert.equal((await client.listPage()).sandboxes.length, before);
});

test('run keeps its sandbox alive for as long as the command runs', async () => {
  const renewed = allocator.renewals;
  const run = start('run', 'base', '--timeout', '1s', '--', 'trap');
  await run.printed('ready');
  await until(() => allocator.renewals >= renewed + 2, 'two renewals');
  run.child.kill('SIGTERM');
  assert.equal((await run.result()).code, 3);
});

test('run that is interrupted while it waits for a sandbox leaves none', async () => {
  const asked = allocator.creates.length;
  const run = start('run', 'slow', '--', 'true');
  await until(() => allocator.creates.length > asked, 'the sandbox is asked for');
  run.child.kill('SIGINT');
  assert.equal((await run.result()).code, 130);
  assert.equal(allocator.aborted.length, 1);
});

function start(...args: readonly string[]): CliProcess {
  return new CliProcess(args, { WARMPOOL_ADDRESS: address });
}

function warmpool(...args: readonly string[]): Promise<CliResult> {
  return start(...args).result();
}

async function spawned(): Promise<void> {
  const { length } = allocator.processes;
  await until(() => allocator.processes.length > length, 'the command has begun');
}

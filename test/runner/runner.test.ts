import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { Leftovers } from './leftovers.ts';
import { missingRequirements, requirementsOf, skipsAgainst } from './required.ts';
import { needsEngine, selectTests } from './select-tests.ts';

const root = packageRoot();
const noEngine = { dockerHost: null, why: 'there is none', [Symbol.asyncDispose]: async () => {} };

test('a skip of a required part is found by its file, its name or its reason', () => {
  const skip = (file: string, name: string, reason: string) => ({ file, name, reason });
  const skips = [
    skip('test/store/contract.test.ts', 'claims', 'redis: redis-server is not on the PATH'),
    skip('test/runtime/docker-runtime.test.ts', 'boots', ''),
    skip('test/guest/exec.test.ts', 'runs as another user', 'this needs to run as root'),
  ];
  assert.deepEqual(skipsAgainst(['redis'], skips), [skips[0]]);
  assert.deepEqual(skipsAgainst(['docker'], skips), [skips[1]]);
  assert.deepEqual(skipsAgainst(['redis', 'docker'], skips), skips.slice(0, 2));
  assert.deepEqual(skipsAgainst([], skips), []);
});

test('WARMPOOL_REQUIRE takes known parts only', () => {
  assert.deepEqual(requirementsOf(undefined), { names: [] });
  assert.deepEqual(requirementsOf(' redis, docker,'), { names: ['redis', 'docker'] });
  assert.deepEqual(requirementsOf('redis,podman'), {
    error: 'WARMPOOL_REQUIRE: podman is not one of redis, docker, bubblewrap',
  });
});

test('a required part that is not to be had is said before the tests run', () => {
  assert.deepEqual(missingRequirements(['docker'], noEngine), [
    'WARMPOOL_REQUIRE lists docker, but there is none',
  ]);
  assert.deepEqual(missingRequirements([], noEngine), []);
});

test('files are chosen by path, by folder and by part of a path; a part that fits nothing is an error', () => {
  const chosen = (...args: string[]) => {
    const selection = selectTests(root, args);
    if ('error' in selection) assert.fail(selection.error);
    return selection.files.map((file) => file.slice(root.length + 1));
  };
  assert.deepEqual(chosen('test/runner'), ['test/runner/runner.test.ts']);
  assert.deepEqual(chosen('runner/runner'), ['test/runner/runner.test.ts']);
  assert.ok(chosen().length > 10);
  assert.deepEqual(selectTests(root, ['no-such-test']), { error: 'no *.test.ts file matches no-such-test' });
  assert.match(JSON.stringify(selectTests(root, ['--nonsense'])), /nonsense/);
});

test('an engine is started only for tests that speak of one', () => {
  assert.equal(needsEngine([join(root, 'test/config/load-config.test.ts')]), false);
  assert.equal(needsEngine([join(root, 'test/runtime/docker-runtime.test.ts')]), true);
});

/** A run's folder as the runner makes it, and a watch over it. */
async function watch() {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-run-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const outer = process.env.WARMPOOL_TEST_RUN;
  const leftovers = await Leftovers.watch(folder, null);
  const mark = process.env.WARMPOOL_TEST_RUN ?? '';
  // The mark of the run that this very test belongs to.
  if (outer === undefined) delete process.env.WARMPOOL_TEST_RUN;
  else process.env.WARMPOOL_TEST_RUN = outer;
  return { folder, leftovers, mark };
}

async function sleeper(env: Record<string, string>, ...words: string[]): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', 'echo up; exec sleep 1000', ...words], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  after(() => child.kill('SIGKILL'));
  if (child.stdout !== null) await once(child.stdout, 'data');
  return child;
}

test('nothing left is nothing found, and the folder goes', async () => {
  const { folder, leftovers } = await watch();
  mkdirSync(join(folder, 'tsx-0'));
  assert.deepEqual(await leftovers.find(), []);
  await leftovers[Symbol.asyncDispose]();
  assert.equal(existsSync(folder), false);
});

test('files and processes of the run are found and removed; those of others are left alone', async () => {
  const { folder, leftovers, mark } = await watch();
  const path = process.env.PATH ?? '';
  const marked = await sleeper({ PATH: path, WARMPOOL_TEST_RUN: mark });
  const byItsEnvironment = await sleeper({ PATH: path, STATE: join(folder, 'state') });
  const other = await sleeper({ PATH: path, WARMPOOL_TEST_RUN: 'of-another-run' });
  writeFileSync(join(folder, 'forgotten'), '');
  const found = await leftovers.find();
  const processes = found
    .filter((line) => line.startsWith('process'))
    .map((line) => Number(/\d+/.exec(line)?.[0]));
  assert.deepEqual(processes.sort(), [marked.pid, byItsEnvironment.pid].sort());
  assert.deepEqual(
    found.filter((line) => line.startsWith('file')),
    [`file ${join(folder, 'forgotten')}`],
  );
  const ends = [once(marked, 'exit'), once(byItsEnvironment, 'exit')];
  await leftovers[Symbol.asyncDispose]();
  await Promise.all(ends);
  assert.equal(other.exitCode ?? other.signalCode, null);
  assert.equal(existsSync(folder), false);
});

test('a mount that was left is found, and nothing is deleted through it', {
  skip: process.getuid?.() !== 0 && 'needs root',
}, async () => {
  const { folder, leftovers } = await watch();
  const precious = mkdtempSync(join(tmpdir(), 'warmpool-precious-'));
  after(() => rmSync(precious, { recursive: true, force: true }));
  writeFileSync(join(precious, 'file'), '');
  const mountPoint = join(folder, 'mounted');
  mkdirSync(mountPoint);
  execFileSync('mount', ['--bind', precious, mountPoint]);
  assert.ok((await leftovers.find()).includes(`mount ${mountPoint}`));
  await leftovers[Symbol.asyncDispose]();
  assert.ok(existsSync(join(precious, 'file')));
  assert.equal(existsSync(folder), false);
});

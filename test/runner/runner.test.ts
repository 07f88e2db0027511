import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { leaveCost, takeCosts } from './cost.ts';
import { HangWatch, noteName } from './hang-watch.ts';
import { Leftovers, makeRunFolder } from './leftovers.ts';
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

test('what a file took is told once, and what was written by halves is not', () => {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  leaveCost(folder, 'test/some.test.ts');
  writeFileSync(join(folder, 'cost-1'), '{"file":"te');
  const [cost, ...more] = takeCosts(folder);
  assert.deepEqual([cost?.file, more], ['test/some.test.ts', []]);
  assert.ok(cost && cost.wallMs > 0 && cost.cpuMs > 0);
  assert.deepEqual(takeCosts(folder), []);
});

/** A run's folder as the runner makes it, and a watch over it. */
async function watch() {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-run-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const outer = process.env.WARMPOOL_TEST_RUN;
  // What these tests leave does not go by itself, however long it is given.
  const leftovers = await Leftovers.watch(folder, null, 1_000);
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

test('the folder of a run that was killed goes, also one of a process with the same number', () => {
  const parent = mkdtempSync(join(tmpdir(), 'warmpool-test-'));
  after(() => rmSync(parent, { recursive: true, force: true }));
  for (const owner of [process.pid, 2 ** 22 + 1, 1]) {
    mkdirSync(join(parent, `wpt-${owner}`));
    writeFileSync(join(parent, `wpt-${owner}`, 'left'), '');
  }
  const folder = makeRunFolder(parent);
  assert.deepEqual(readdirSync(parent).sort(), ['wpt-1', `wpt-${process.pid}`].sort());
  assert.deepEqual(readdirSync(folder), []);
});

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

test('a test that hangs is called by its name, and ended with what it started', async () => {
  const { folder } = await watch();
  const hanging = spawn('sh', ['-c', 'sleep 1000 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const fine = await sleeper({ PATH: process.env.PATH ?? '' });
  const [started] = await once(hanging.stdout, 'data');
  const closed = once(hanging, 'close');
  const note = join(folder, noteName(hanging.pid ?? 0));
  writeFileSync(note, 'test/a.test.ts: waits for ever');
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(note, longAgo, longAgo);
  writeFileSync(join(folder, noteName(fine.pid ?? 0)), 'test/b.test.ts: has just begun');
  const hangs = new HangWatch(folder, { quietMs: 30_000, fileMs: 30_000 }, () => {});
  hangs.look();
  // Not only its own end: that nothing holds its output open.
  await closed;
  assert.equal(existsSync(`/proc/${String(started).trim()}/exe`), false);
  assert.deepEqual(hangs.findings, ['test/a.test.ts: waits for ever (no test began or ended for 30 s)']);
  assert.equal(existsSync(note), false);
  assert.equal(fine.exitCode ?? fine.signalCode, null);
});

test('a file that takes too long is ended, and one whose process died is told of', async () => {
  const { folder } = await watch();
  const slow = await sleeper({ PATH: process.env.PATH ?? '' });
  const dead = await sleeper({ PATH: process.env.PATH ?? '' });
  writeFileSync(join(folder, noteName(slow.pid ?? 0)), 'test/a.test.ts: one of many');
  writeFileSync(join(folder, noteName(dead.pid ?? 0)), 'test/b.test.ts: crashes');
  const exits = [once(slow, 'exit'), once(dead, 'exit')];
  dead.kill('SIGKILL');
  await exits[1];
  const hangs = new HangWatch(folder, { quietMs: 30_000, fileMs: 0 }, () => {});
  hangs.look();
  await exits[0];
  assert.deepEqual([...hangs.findings].sort(), [
    'test/a.test.ts: one of many (the file took more than 0 s)',
    'test/b.test.ts: crashes (its process died)',
  ]);
});

test('a file notes the tests in progress, and a failed assertion without a message is only a failure', async () => {
  const { folder } = await watch();
  const file = join(folder, 'fixture.ts');
  // Some thirty statements before the failing one, which tsx puts on one line: there Node would parse for ever.
  writeFileSync(
    file,
    [
      "import assert from 'node:assert/strict';",
      "import { readFileSync, readdirSync } from 'node:fs';",
      "import { describe, test } from 'node:test';",
      'const note = () => {',
      "  const folder = process.env.TMPDIR + '/';",
      "  const name = readdirSync(folder).find((each) => each.startsWith('in-progress-'));",
      "  return readFileSync(folder + name, 'utf8').split(': ').at(-1);",
      '};',
      "console.error('note', note());",
      "describe('a suite', () => {",
      "  test('outer', async (t) => {",
      "    await t.test('inner', () => console.error('note', note()));",
      "    console.error('note', note());",
      '  });',
      '});',
      "test('fails', () => {",
      "  console.error('note', note());",
      '  const cuts: number = 0;',
      '  assert.ok(cuts > 0);',
      '});',
    ].join('\n'),
  );
  const { NODE_TEST_CONTEXT: _ofThisFile, ...env } = process.env;
  const preload = join(root, 'test/runner/in-each-file.ts');
  const child = spawnSync(process.execPath, ['--import', 'tsx', '--import', preload, file], {
    cwd: root,
    env: { ...env, TMPDIR: folder },
    encoding: 'utf8',
    // A minute of the compiler's on a machine that is busy; the watch over this file waits for longer.
    timeout: 100_000,
  });
  assert.deepEqual(
    child.stderr.split('\n').filter((line) => line.startsWith('note')),
    ['note outside its tests', 'note outer > inner', 'note outer', 'note fails'],
  );
  assert.match(child.stdout, /not ok 2 - fails.*the value is falsy: false/s);
  assert.equal(child.status, 1);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('in-progress-')),
    [],
  );
});

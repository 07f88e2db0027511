import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildProbe } from '../../guest/build-test.mjs';
import { within } from '../support/within.ts';
import { FileGuest } from './file-driver.ts';

/**
 * G8: with `root` nothing outside of it is read, written, made, renamed or removed, whatever happens to the names
 * meanwhile. `outside` is what must stay as it is.
 */
const swapsMin = 100_000;
/** Of every request one, and as many more as that many swaps take. */
const rounds = 80;
/** Only a swapper that does not swap takes so long. */
const swapsMsMax = 100_000;
const secret = 'the secret outside';

describe('files confined to a root', () => {
  let guest: FileGuest;
  let folder: string;
  let root: string;
  let outside: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warmpool-g8-'));
    chmodSync(folder, 0o755);
    guest = await FileGuest.start();
  });
  after(async () => {
    await guest[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A fresh root beside a fresh outside. */
  function prepare(name: string): void {
    root = join(folder, name, 'root');
    outside = join(folder, name, 'outside');
    mkdirSync(join(root, 'inside'), { recursive: true });
    mkdirSync(join(outside, 'kept'), { recursive: true });
    writeFileSync(join(outside, 'secret'), secret);
    writeFileSync(join(outside, 'kept', 'file'), secret);
    writeFileSync(join(outside, 'only-outside'), secret);
  }

  function checkOutside(): void {
    assert.deepEqual(readdirSync(outside).sort(), ['kept', 'only-outside', 'secret']);
    assert.deepEqual(readdirSync(join(outside, 'kept')), ['file']);
    assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), secret);
    assert.equal(readFileSync(join(outside, 'kept', 'file'), 'utf8'), secret);
    assert.equal(lstatSync(join(outside, 'secret')).mode & 0o777, 0o644);
  }

  test('G8 every request whose target is outside is refused with outside_root', async () => {
    prepare('refused');
    symlinkSync(outside, join(root, 'absolute'));
    symlinkSync('../outside', join(root, 'relative'));
    symlinkSync('../outside/secret', join(root, 'file'));
    symlinkSync('file', join(root, 'link-to-link'));
    symlinkSync('/', join(root, 'top'));
    symlinkSync('../outside/not-yet', join(root, 'dangling'));
    const targets = [
      join(outside, 'secret'),
      join(root, 'absolute/secret'),
      join(root, 'relative/secret'),
      join(root, 'file'),
      join(root, 'link-to-link'),
      `${root}/../outside/secret`,
      `${root}/inside/../../outside/secret`,
      `/proc/self/root${outside}/secret`,
      join(root, `top${outside}/secret`),
      '/etc/passwd',
      `${root}-beside/../outside/secret`.replace('-beside/..', '/..'),
    ];
    const other = join(root, 'other');
    writeFileSync(other, '');
    for (const path of targets) {
      const refusals = [
        guest.read({ path, root }).refusal(),
        guest.write({ path, root }).refusal(),
        guest.write({ path, root, append: true }).refusal(),
        guest.tarRead({ path, root }).refusal(),
        guest.stat({ path, root }).refusal(),
        guest.watch({ path, root }).refusal(),
        guest.change({ path, root, mode: 0o777 }).refusal(),
      ];
      assert.deepEqual([path, ...new Set(await Promise.all(refusals))], [path, 'outside_root']);
    }
    const directories = [outside, join(root, 'absolute'), join(root, 'relative'), join(root, '..'), '/'];
    for (const path of directories) {
      const refusals = [
        guest.list({ path, root }).refusal(),
        guest.tarRead({ path, root }).refusal(),
        guest.tarWrite({ path, root }).refusal(),
        guest.write({ path: join(path, 'new'), root }).refusal(),
        guest.write({ path: join(path, 'a/b/new'), root, parents: true }).refusal(),
        guest.mkdir({ path: join(path, 'new'), root }).refusal(),
        guest.mkdir({ path: join(path, 'a/b/new'), root, parents: true }).refusal(),
        guest.rename({ path: other, to: join(path, 'new'), root }).refusal(),
        guest.remove({ path: join(path, 'kept'), root, recursive: true }).refusal(),
        guest.watch({ path, root, recursive: true }).refusal(),
      ];
      const expected = path.endsWith('..') || path === '/' ? ['outside_root', 'not_found'] : ['outside_root'];
      for (const code of await Promise.all(refusals)) assert.ok(expected.includes(code), `${path}: ${code}`);
    }
    assert.equal(await guest.write({ path: join(root, 'dangling'), root }).refusal(), 'outside_root');
    assert.equal(
      await guest.rename({ path: join(outside, 'secret'), to: join(root, 'x'), root }).refusal(),
      'outside_root',
    );
    assert.equal(await guest.remove({ path: root, root, recursive: true }).refusal(), 'outside_root');
    assert.equal(await guest.rename({ path: root, to: `${root}2`, root }).refusal(), 'outside_root');
    checkOutside();
  });

  test('G8 links that stay inside, and the root itself, are served', async () => {
    prepare('served');
    const aliased = join(folder, 'served', 'alias');
    symlinkSync('root', aliased);
    writeFileSync(join(root, 'inside', 'file'), 'fine');
    symlinkSync(join(root, 'inside'), join(root, 'absolute'));
    symlinkSync('../root/inside/file', join(root, 'round'));
    const read = async (path: string, inRoot: string) => {
      const call = guest.read({ path, root: inRoot });
      await call.end;
      return call.output.toString();
    };
    for (const inRoot of [root, aliased, `${root}/`, `${root}/inside/..`]) {
      assert.equal(await read(join(root, 'absolute', 'file'), inRoot), 'fine');
      assert.equal(await read(join(aliased, 'round'), inRoot), 'fine');
      assert.equal((await guest.stat({ path: root, root: inRoot }).end).kind, 'directory');
      assert.equal((await guest.list({ path: aliased, root: inRoot }).end).entries, 3);
    }
    await guest.write({ path: 'x/y/z', cwd: root, root, parents: true }).sendAll('made');
    assert.equal(readFileSync(join(root, 'x/y/z'), 'utf8'), 'made');
    assert.equal(await guest.mkdir({ path: root, root, parents: true }).end, false);
    assert.equal(await guest.remove({ path: join(root, 'absolute'), root }).end, 1);
    assert.equal(await guest.stat({ path: join(root, 'none'), root }).refusal(), 'not_found');
    assert.equal(await guest.stat({ path: '/', root: '/' }).end.then(({ kind }) => kind), 'directory');
    assert.equal(await guest.stat({ path: root, root: join(folder, 'nowhere') }).refusal(), 'not_found');
    assert.equal(await guest.stat({ path: root, root: join(root, 'round') }).refusal(), 'not_directory');
  });

  test('G8 names of descriptors and of other processes lead nowhere', async () => {
    prepare('proc');
    for (const path of [
      '/proc/self/fd/0',
      '/proc/self/fd/3',
      '/proc/thread-self/fd/3',
      '/proc/self/fd/1/x',
    ]) {
      const codes = await Promise.all([
        guest.read({ path }).refusal(),
        guest.write({ path }).refusal(),
        guest.read({ path, root }).refusal(),
      ]);
      for (const code of codes)
        assert.ok(code !== 'the request was served' && code !== 'io_error', `${path}: ${code}`);
    }
    const ofTheAgent = `/proc/${guest.process.pid}`;
    for (const name of ['fd/0', 'mem', 'environ', 'root/etc/passwd', 'cwd/x']) {
      assert.equal(
        await guest.read({ path: `${ofTheAgent}/${name}`, user: 'nobody' }).refusal(),
        'permission_denied',
      );
    }
  });

  test('G8 a directory that is swapped with a link 10^5 times and more never leads out', async (context) => {
    prepare('swapped-directory');
    const target = join(root, 'd');
    symlinkSync(outside, join(root, 'swap'));
    const refill = () => {
      rmSync(join(folder, 'swapped-directory', 'next'), { recursive: true, force: true });
      mkdirSync(target, { recursive: true });
      writeFileSync(join(target, 'secret'), 'inside');
    };
    refill();
    await using swapper = new Swapper(target, join(root, 'swap'));
    const outcomes = new Map<string, number>();
    const count = async (outcome: Promise<unknown>) => {
      const code = await codeOf(outcome);
      outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
    };
    const met = (code: string) => outcomes.get(code) ?? 0;
    const bothMet = () => met('outside_root') > 20 && met('fine') > 20;
    for (let round = 0; swapper.goesOn(round, bothMet()); round += 1) {
      const read = guest.read({ path: join(target, 'secret'), root });
      const tar = guest.tarRead({ path: target, root });
      const list = guest.list({ path: target, root, depth: 3 });
      await Promise.all([
        count(read.end),
        count(tar.end),
        count(list.end),
        count(guest.write({ path: join(target, 'secret'), root }).sendAll('inside')),
        count(guest.write({ path: join(target, 'secret'), root, append: true }).sendAll('')),
        count(guest.write({ path: join(target, 'p/q/new'), root, parents: true }).sendAll('inside')),
        count(guest.mkdir({ path: join(target, `m${round}`), root }).end),
        count(guest.rename({ path: join(target, 'secret'), to: join(target, 'renamed'), root }).end),
        count(guest.rename({ path: join(target, 'renamed'), to: join(target, 'secret'), root }).end),
        count(guest.change({ path: join(target, 'secret'), root, mode: 0o600 }).end),
        count(guest.remove({ path: join(target, 'kept'), root, recursive: true }).end),
        count(guest.tarWrite({ path: target, root }).sendAll(evilTar)),
      ]);
      assert.ok(!read.output.includes(secret));
      assert.ok(!tar.output.includes(secret));
      assert.ok(!list.output.includes('only-outside'));
    }
    context.diagnostic(`${swapper.swaps} swaps, ${JSON.stringify(Object.fromEntries(outcomes))}`);
    checkOutside();
  });

  test('G8 a file that is swapped with a link 10^5 times and more never gives or takes what is outside', async (context) => {
    prepare('swapped-file');
    const target = join(root, 'f');
    writeFileSync(target, 'inside');
    symlinkSync(join(outside, 'secret'), join(root, 'swap'));
    await using swapper = new Swapper(target, join(root, 'swap'));
    const outcomes = new Map<string, number>();
    const count = async (outcome: Promise<unknown>) => {
      const code = await codeOf(outcome);
      outcomes.set(code, (outcomes.get(code) ?? 0) + 1);
    };
    for (let round = 0; swapper.goesOn(round); round += 1) {
      const read = guest.read({ path: target, root });
      const tar = guest.tarRead({ path: target, root });
      await Promise.all([
        count(read.end),
        count(tar.end),
        count(guest.write({ path: target, root, append: true }).sendAll('')),
        count(guest.write({ path: target, root, offset: 0 }).sendAll('inside')),
        count(guest.change({ path: target, root, mode: 0o666, mtimeMs: 1000 }).end),
        count(guest.list({ path: target, root }).end),
        count(guest.stat({ path: target, root }).end),
      ]);
      assert.ok(!read.output.includes(secret));
      assert.ok(!tar.output.includes(secret));
    }
    context.diagnostic(`${swapper.swaps} swaps, ${JSON.stringify(Object.fromEntries(outcomes))}`);
    checkOutside();
  });

  test('G8 a tree that is swapped while it is removed costs nothing outside', async (context) => {
    prepare('swapped-removal');
    symlinkSync(outside, join(root, 'swap'));
    const target = join(root, 'tree', 'd');
    mkdirSync(target, { recursive: true });
    await using swapper = new Swapper(target, join(root, 'swap'));
    for (let round = 0; round < 40; round += 1) {
      await codeOf(guest.write({ path: join(target, 'a/b/file'), root, parents: true }).sendAll('x'));
      await codeOf(guest.remove({ path: join(root, 'tree'), root, recursive: true }).end);
      spawnSync('mkdir', ['-p', join(root, 'tree')]);
      spawnSync('mv', ['-nT', join(root, 'swap'), target]);
      await codeOf(guest.mkdir({ path: join(root, 'swap'), root }).end);
      checkOutside();
    }
    context.diagnostic(`${swapper.swaps} swaps`);
    checkOutside();
  });

  test('G8 a hard link into the root is a file of the root, and replacing it leaves the other name alone', async () => {
    prepare('hard-link');
    linkSync(join(outside, 'secret'), join(root, 'hard'));
    await guest.write({ path: join(root, 'hard'), root }).sendAll('replaced');
    assert.equal(readFileSync(join(root, 'hard'), 'utf8'), 'replaced');
    checkOutside();
  });
});

const evilTar = (() => {
  const source = mkdtempSync(join(tmpdir(), 'warmpool-g8-tar-'));
  writeFileSync(join(source, 'secret'), 'inside');
  mkdirSync(join(source, 'kept'));
  writeFileSync(join(source, 'kept', 'file'), 'inside');
  const { stdout } = spawnSync('tar', ['-C', source, '-cf', '-', 'secret', 'kept']);
  rmSync(source, { recursive: true });
  return stdout;
})();

/** Exchanges two names until it is stopped. */
class Swapper implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #exit: Promise<unknown>;
  readonly #endMs = performance.now() + swapsMsMax;
  swaps = 0;

  constructor(a: string, b: string) {
    this.#process = spawn(buildProbe('swap-probe'), [a, b], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#exit = once(this.#process, 'exit');
    this.#process.stdout?.on('data', (chunk: Buffer) => {
      this.swaps = Number(chunk.toString().trim().split('\n').at(-1));
    });
  }

  /** Whether a test that has done this many rounds is to do another. */
  goesOn(round: number, hasSeenEnough = true): boolean {
    if (round >= rounds && this.swaps >= swapsMin && hasSeenEnough) return false;
    const { exitCode, signalCode } = this.#process;
    assert.ok(exitCode === null && signalCode === null, `the swapper ended with ${exitCode ?? signalCode}`);
    assert.ok(performance.now() < this.#endMs, `only ${this.swaps} swaps in ${round} rounds`);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin?.end();
    try {
      await within(this.#exit, () => 'the end of the swapper');
    } finally {
      this.#process.kill('SIGKILL');
    }
  }
}

/** "io_error" says nothing of what went wrong, so its message goes with it. */
async function codeOf(end: Promise<unknown>): Promise<string> {
  try {
    await end;
    return 'fine';
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return code === undefined || code === 'io_error' ? message : code;
  }
}

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { buildSanitizedGuest } from '../../guest/build-test.mjs';
import { encodeControlMap } from '../../protocol/control-map.ts';
import { parsed } from '../support/parsed.ts';
import { GuestDriver } from './guest-driver.ts';
import { isAlive } from './host-processes.ts';

const isRoot = process.getuid?.() === 0;
const rootOnly = { skip: isRoot ? false : 'needs root' };

describe('starting a process', () => {
  let guest: GuestDriver;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warmpool-guest-exec-'));
    chmodSync(folder, 0o755);
    guest = await GuestDriver.start();
  });
  after(async () => {
    await guest[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function file(name: string, content: string, mode: number): string {
    const path = join(folder, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  }

  test('gives back the exit code', async () => {
    for (const code of [0, 1, 42, 255]) {
      const { exit } = await guest.run(['sh', '-c', `exit ${code}`]);
      assert.deepEqual([exit?.exitCode, exit?.signal, exit?.timedOut], [code, null, false]);
    }
  });

  test('gives back the signal that ended it', async () => {
    const { exit } = await guest.run(['sh', '-c', 'kill -SEGV $$']);
    assert.deepEqual([exit?.exitCode, exit?.signal], [null, 11]);
  });

  test('measures the time from start to end', async () => {
    const beganMs = performance.now();
    const { exit } = await guest.run(['sleep', '0.2']);
    const tookUs = (performance.now() - beganMs) * 1_000;
    assert.ok(exit !== undefined && exit.durationUs >= 200_000 && exit.durationUs <= tookUs);
  });

  test('keeps stdout and stderr apart', async () => {
    const { stdout, stderr } = await guest.run(['sh', '-c', 'echo out; echo err >&2']);
    assert.deepEqual([stdout.toString(), stderr.toString()], ['out\n', 'err\n']);
  });

  test('passes arguments byte for byte, empty ones and non-ASCII ones included', async () => {
    const argv = ['printf', '<%s>', '', ' two  words ', '$HOME', '"quoted"', 'line\nbreak', 'żółć 🐚'];
    const { stdout } = await guest.run(argv);
    assert.equal(
      stdout.toString(),
      argv
        .slice(2)
        .map((text) => `<${text}>`)
        .join(''),
    );
  });

  test('gives the process the environment of the request and nothing else', async () => {
    const env = { PATH: '/usr/bin:/bin', EMPTY: '', EQUALS: 'a=b', TEXT: 'zwei\nZeilen' };
    const { stdout } = await guest.run(['env', '-0'], { env });
    const entries = stdout.toString().split('\0').slice(0, -1);
    assert.deepEqual(
      entries.sort(),
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}`)
        .sort(),
    );
  });

  test('takes 1024 arguments and refuses one more', async () => {
    const argv = ['echo', ...Array.from({ length: 1023 }, (_, index) => String(index))];
    const { stdout } = await guest.run(argv);
    assert.equal(stdout.toString(), `${argv.slice(1).join(' ')}\n`);
    assert.equal(await guest.refusal([...argv, 'more']), 'invalid_payload');
  });

  test('starts in the asked directory, and in / when none is given', async () => {
    assert.equal((await guest.run(['pwd'], { cwd: folder })).stdout.toString(), `${folder}\n`);
    assert.equal((await guest.run(['pwd'], { cwd: '' })).stdout.toString(), '/\n');
  });

  test('refuses a directory that is missing, a file, or relative', async () => {
    const plain = file('plain', 'text', 0o644);
    assert.equal(await guest.refusal(['true'], { cwd: join(folder, 'missing') }), 'cwd_invalid');
    assert.equal(await guest.refusal(['true'], { cwd: plain }), 'cwd_invalid');
    assert.equal(await guest.refusal(['true'], { cwd: 'relative' }), 'invalid_payload');
  });

  test('refuses a directory that the asked user may not enter', rootOnly, async () => {
    const closed = join(folder, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    assert.equal(await guest.refusal(['true'], { cwd: closed, user: '65534' }), 'cwd_invalid');
  });

  test('tells a command that is missing from one that cannot be executed', async () => {
    const plain = file('not-executable', '#!/bin/sh\n', 0o644);
    const noShebang = file('no-shebang', 'echo hello\n', 0o755);
    const garbage = file('garbage', '\u007fELFgarbage', 0o755);
    const noInterpreter = file('no-interpreter', '#!/no/such/interpreter\n', 0o755);
    const cases: [string, string][] = [
      ['no-such-command-here', 'command_not_found'],
      ['', 'command_not_found'],
      [join(folder, 'missing'), 'command_not_found'],
      [`${plain}/beneath`, 'command_not_found'],
      [plain, 'command_not_executable'],
      [noShebang, 'command_not_executable'],
      [garbage, 'command_not_executable'],
      [noInterpreter, 'command_not_executable'],
      [folder, 'command_not_executable'],
    ];
    for (const [command, code] of cases) assert.equal(await guest.refusal([command]), code, command);
  });

  test('searches the PATH of the request, in order, past what it cannot use', async () => {
    for (const name of ['one', 'two', 'three']) mkdirSync(join(folder, name), { recursive: true });
    file('one/tool', 'not executable', 0o644);
    file('two/tool', '#!/bin/sh\necho two\n', 0o755);
    file('three/tool', '#!/bin/sh\necho three\n', 0o755);
    const path = (...names: string[]) => ({ PATH: names.map((name) => join(folder, name)).join(':') });
    const where = async (env: Record<string, string>) =>
      (await guest.run(['tool'], { env })).stdout.toString();
    assert.equal(await where(path('missing', 'one', 'two', 'three')), 'two\n');
    assert.equal(await where(path('three', 'two')), 'three\n');
    assert.equal(await guest.refusal(['tool'], { env: path('one') }), 'command_not_executable');
    assert.equal(await guest.refusal(['tool'], { env: {} }), 'command_not_found');
    assert.equal(await guest.refusal(['tool'], { env: { PATH: '' } }), 'command_not_found');
    const here = await guest.run(['tool'], { env: { PATH: ':/nowhere' }, cwd: join(folder, 'two') });
    assert.equal(here.stdout.toString(), 'two\n');
  });

  test('runs a relative path from the asked directory', async () => {
    mkdirSync(join(folder, 'relative'), { recursive: true });
    file('relative/tool', '#!/bin/sh\necho here\n', 0o755);
    const { stdout } = await guest.run(['./tool'], { cwd: join(folder, 'relative') });
    assert.equal(stdout.toString(), 'here\n');
  });

  test('runs as the asked user, with its groups', rootOnly, async () => {
    const ids = async (user: string) =>
      (await guest.run(['sh', '-c', 'id -u; id -g; id -G'], { user })).stdout.toString().trim().split('\n');
    assert.deepEqual((await ids('')).slice(0, 2), ['0', '0']);
    assert.deepEqual(await ids('nobody'), ['65534', '65534', '65534']);
    assert.deepEqual((await ids('64321')).slice(0, 2), ['64321', '64321']);
    assert.deepEqual((await ids('64321:64322')).slice(0, 2), ['64321', '64322']);
    assert.deepEqual((await ids('nobody:daemon')).slice(0, 2), ['65534', '1']);
  });

  test('lets a process of another user open its own stderr again', rootOnly, async () => {
    const { stderr } = await guest.run(['sh', '-c', 'echo again > /dev/stderr'], { user: 'nobody' });
    assert.equal(stderr.toString(), 'again\n');
  });

  test('refuses a user and a group that are not there', async () => {
    assert.equal(await guest.refusal(['true'], { user: 'no-such-user' }), 'user_unknown');
    assert.equal(await guest.refusal(['true'], { user: '0:no-such-group' }), 'user_unknown');
    assert.equal(await guest.refusal(['true'], { user: '4294967295' }), 'user_unknown');
  });

  test('refuses a user it has no right to become', rootOnly, async () => {
    await using unprivileged = await GuestDriver.start({ uid: 64_999 });
    assert.equal(await unprivileged.refusal(['true'], { user: 'root' }), 'user_unavailable');
    assert.equal(await unprivileged.refusal(['true'], { user: '65000' }), 'user_unavailable');
    for (const user of ['', '64999', '64999:64999']) {
      assert.equal((await unprivileged.run(['id', '-u'], { user })).stdout.toString(), '64999\n');
    }
  });

  test('refuses payloads that are not the map of section 4, naming the key', async () => {
    const argv = ['true'];
    const bad: [string, Parameters<typeof encodeControlMap>[0]][] = [
      ['argv', {}],
      ['argv', { argv: [] }],
      ['argv', { argv: 'true' }],
      ['argv', { argv: [1] }],
      ['argv', { argv: ['a\0b'] }],
      ['argv', { argv: ['x'.repeat(60_001)] }],
      ['env', { argv, env: ['PATH'] }],
      ['env', { argv, env: { 'A=B': 'x' } }],
      ['env', { argv, env: { '': 'x' } }],
      ['cwd', { argv, cwd: 1 }],
      ['cwd', { argv, cwd: `/${'x'.repeat(4096)}` }],
      ['user', { argv, user: true }],
      ['stdin', { argv, stdin: 'yes' }],
      ['timeout_ms', { argv, timeout_ms: -1 }],
      ['timeout_ms', { argv, timeout_ms: 4_294_967_296 }],
    ];
    for (const [key, map] of bad) {
      guest.send('ExecStart', 900, parsed(encodeControlMap(map)), 5);
      const error = await guest.nextError();
      assert.equal(error.code, 'invalid_payload');
      assert.ok(error.message.startsWith(`${key}:`), `${error.message} names ${key}`);
    }
    for (const bytes of [[], [0xc1], [0x81], [0x81, 0xa4], [0xdf, 0xff, 0xff, 0xff, 0xff]]) {
      guest.send('ExecStart', 900, Uint8Array.from(bytes), 5);
      assert.equal((await guest.nextError()).code, 'invalid_payload');
    }
    guest.send('ExecStart', 0, parsed(encodeControlMap({ argv })), 5);
    assert.equal((await guest.nextError()).code, 'invalid_payload');
  });

  test('ignores keys it does not know', async () => {
    guest.send(
      'ExecStart',
      901,
      parsed(encodeControlMap({ argv: ['/bin/true'], later: { a: [1, true] } })),
      5,
    );
    assert.equal((await guest.next()).channel, 901);
    await guest.next((frame) => frame.channel === 901 && frame.payload.length > 20);
  });

  test('tells argv and env that the kernel refuses from a missing command', async () => {
    const loop = join(folder, 'loop');
    symlinkSync(loop, loop);
    assert.equal(await guest.refusal([loop]), 'spawn_failed');
  });

  test('leaves no zombie behind, also of starts that failed', async () => {
    await guest.refusal(['no-such-command-here']);
    const { pid } = await guest.run(['true']);
    assert.ok(pid !== undefined && !isAlive(pid));
  });
});

test('the whole agent runs clean under the sanitizers', async () => {
  const env = { ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1', UBSAN_OPTIONS: 'halt_on_error=1' };
  await using guest = await GuestDriver.start({ binary: buildSanitizedGuest(), env, window: 20_000 });
  const cat = guest.begin(['cat'], { stdin: true });
  const bytes = Buffer.alloc(60_000, 'some text ');
  cat.writeStdin(bytes);
  cat.endStdin();
  await cat.exited();
  assert.deepEqual(cat.stdout, bytes);
  assert.equal(await guest.refusal(['no-such-command-here']), 'command_not_found');
  assert.equal(await guest.refusal(['true'], { user: 'no-such-user' }), 'user_unknown');
  assert.equal((await guest.run(['sleep', '10'], { timeoutMs: 50 })).exit?.timedOut, true);
  const background = await guest.run(['sh', '-c', 'sleep 0.4 & echo done']);
  assert.equal(background.stdout.toString(), 'done\n');
  guest.begin(['sleep', '100']);
  await guest.hello(new Uint8Array(16).fill(2));
  guest.input.end();
  assert.equal(await guest.ended(), 0);
});

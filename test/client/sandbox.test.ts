import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Sandbox, type ServiceSandbox, Warmpool } from '../../src/client/node/entry-node.ts';
import { requirement } from '../support/requirements.ts';
import { TestService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { within } from '../support/within.ts';
import { CollectedText } from './collected-text.ts';
import { TcpProxy } from './tcp-proxy.ts';

describe('a sandbox over the client, on bubblewrap', await requirement('bubblewrap'), () => {
  let service: TestService;
  let warmpool: Warmpool;
  let sandbox: ServiceSandbox;

  before(async () => {
    service = await TestService.start({ pools: [{ name: 'base', size: { minReady: 1 } }] });
    warmpool = new Warmpool({ address: service.grpc });
    sandbox = await warmpool.create('base', { env: { GREETING: 'hello' } });
  });
  after(async () => {
    sandbox?.close();
    warmpool?.close();
    await service?.[Symbol.asyncDispose]();
  });

  test('exec gives back the output, the exit and how long it took', async () => {
    const done = await sandbox.exec('echo $GREETING; echo oh >&2; exit 3');
    const { stdout, stderr, exitCode, signal, timedOut } = done;
    assert.deepEqual(
      { stdout, stderr, exitCode, signal, timedOut },
      { stdout: 'hello\n', stderr: 'oh\n', exitCode: 3, signal: null, timedOut: false },
    );
    assert.ok(done.durationMs > 0);
    assert.equal((await sandbox.exec(['sh', '-c', 'kill -9 $$'])).signal, 9);
    const somewhere = await sandbox.exec('pwd; echo $MORE', { cwd: '/tmp', env: { MORE: 'than that' } });
    assert.equal(somewhere.stdout, '/tmp\nthan that\n');
    assert.equal((await sandbox.exec(['cat'], { stdin: 'typed' })).stdout, 'typed');
    assert.equal((await sandbox.exec('sleep 60', { timeoutMs: 50 })).timedOut, true);
  });

  test('exec takes 10,000 lines whole, and says when it dropped some', async () => {
    const lines = await sandbox.exec(['seq', '1', '10000']);
    assert.equal(lines.stdout, `${Array.from({ length: 10_000 }, (_, index) => index + 1).join('\n')}\n`);
    assert.equal(lines.stdoutTruncated, false);
    const flood = await sandbox.exec(['head', '-c', '5000000', '/dev/zero'], { outputBytesMax: 1_000 });
    assert.deepEqual([flood.stdoutBytes.length, flood.stdoutTruncated, flood.exitCode], [1_000, true, 0]);
  });

  test('what cannot be started is an error with a code', async () => {
    await assert.rejects(sandbox.exec(['no-such-program']), {
      name: 'WarmpoolClientError',
      code: 'command_not_found',
    });
    await assert.rejects(sandbox.exec(['true'], { cwd: '/nowhere' }), { code: 'cwd_invalid' });
    await assert.rejects(sandbox.exec(['true'], { user: 'nobody-here' }), { code: 'user_unknown' });
    await assert.rejects(sandbox.exec(['/etc/passwd']), { code: 'command_not_executable' });
  });

  test('an aborted signal ends the command, also one that persists, and is what the caller gets', async () => {
    for (const persist of [false, true]) {
      const reason = new Error('enough');
      const abort = new AbortController();
      const process = await sandbox.spawn(['sleep', '61'], { persist, signal: abort.signal });
      abort.abort(reason);
      await assert.rejects(process.wait(), reason);
      const sleepers = async () => (await sandbox.exec('pgrep -x sleep; true')).stdout.trim().split('\n');
      const isGone = async () => !(await sleepers()).includes(String(process.pid));
      await until(isGone, `process ${process.pid} to end`);
      await assert.rejects(sandbox.exec('true', { signal: abort.signal }), reason);
    }
  });

  test('spawn has streams both ways, signals, and an end', async () => {
    const echo = await sandbox.spawn('echo ready; echo aside >&2; while read x; do echo "<$x>"; done');
    const stdout = lines(echo.stdout);
    assert.equal(await stdout.next(), 'ready');
    await echo.write('one\n');
    assert.equal(await stdout.next(), '<one>');
    await echo.write('two\n');
    assert.equal(await stdout.next(), '<two>');
    echo.end();
    assert.equal(await stdout.next(), undefined);
    assert.equal(await lines(echo.stderr).next(), 'aside');
    assert.equal((await echo.wait()).exitCode, 0);

    const trap = await sandbox.spawn(
      'trap "echo caught; exit 8" USR1; echo ready; while true; do sleep 0.02; done',
    );
    const caught = lines(trap.stdout);
    assert.equal(await caught.next(), 'ready');
    trap.signal('SIGUSR1');
    assert.equal(await caught.next(), 'caught');
    assert.equal((await trap.wait()).exitCode, 8);
  });

  test('streams of the web carry megabytes through a process', async () => {
    const data = randomBytes(3_000_000);
    const cat = await sandbox.spawn(['cat'], { stderr: 'ignore' });
    const piped = new Blob([data]).stream().pipeTo(cat.stdin);
    const back = await new Response(cat.stdout.stream()).arrayBuffer();
    await piped;
    assert.equal(digest(new Uint8Array(back)), digest(data));
    assert.equal((await cat.wait()).exitCode, 0);
  });

  test('output that nobody reads holds the process up, and wait lets it go', async () => {
    const flood = await sandbox.spawn('head -c 3000000 /dev/zero; echo done >&2');
    assert.equal((await flood.wait()).exitCode, 0);
  });

  test('a terminal has a size, echoes, and takes control characters', async () => {
    const terminal = await sandbox.pty({
      cols: 91,
      rows: 31,
      // Its own word says that it is what ^C goes to.
      command: 'stty size; read x; stty size; exec sh -c "echo up; exec sleep 63"',
    });
    const output = new CollectedText(terminal.output);
    await output.has('31 91\r\n');
    terminal.resize({ cols: 100, rows: 40 });
    await terminal.write('go\r');
    await output.has('go\r\n40 100\r\nup\r\n');
    await terminal.write('\u0003');
    assert.equal((await terminal.wait()).signal, 2);
  });

  test('I12 a terminal whose connection is cut again and again shows every byte once, in order', async () => {
    const proxy = await TcpProxy.start(sandbox.info.wsUrl);
    await using _proxy = proxy;
    const wsUrl = proxy.urlOf(sandbox.info.wsUrl);
    const token = sandbox.info.dataToken;
    await using cut = await Sandbox.connect({ wsUrl, token, reconnect: { firstPauseMs: 1, pauseMsMax: 20 } });
    const terminal = await cut.pty({
      command:
        'stty raw -echo; echo ready; read x; i=0; while [ $i -lt 40000 ]; do echo "line $i of the output"; i=$((i+1)); done',
      replayBytes: 1_048_576,
    });
    const output = new CollectedText(terminal.output);
    await output.has('ready\n');
    // A connection has to outlive its longest frame, or nothing would ever arrive.
    proxy.cutEvery(150_000);
    await terminal.write('\n');
    assert.equal((await terminal.wait()).exitCode, 0);
    await output.ended;
    const expected = Array.from({ length: 40_000 }, (_, index) => `line ${index} of the output\n`).join('');
    assert.equal(output.text.slice('ready\n'.length), expected);
    assert.ok(proxy.cuts >= 5, `${proxy.cuts} cuts`);
  });

  test('I12 input that is cut again and again arrives whole, once and in order', async () => {
    const proxy = await TcpProxy.start(sandbox.info.wsUrl);
    await using _proxy = proxy;
    const wsUrl = proxy.urlOf(sandbox.info.wsUrl);
    const token = sandbox.info.dataToken;
    await using cut = await Sandbox.connect({ wsUrl, token, reconnect: { firstPauseMs: 1, pauseMsMax: 20 } });
    const data = randomBytes(2_000_000);
    const sum = await cut.spawn(['sha256sum'], { persist: true });
    for (let at = 0; at < data.length; at += 50_000) {
      await sum.write(data.subarray(at, at + 50_000));
      if (at % 400_000 === 0) proxy.cut();
    }
    sum.end();
    const { value: printed } = await sum.stdout.next();
    assert.equal(
      Buffer.from(printed ?? [])
        .toString()
        .slice(0, 64),
      digest(data),
    );
    assert.equal((await sum.wait()).exitCode, 0);
    assert.ok(proxy.cuts >= 3, `${proxy.cuts} cuts`);
  });

  test('a command that does not persist fails with its connection, and the next one works', async () => {
    const proxy = await TcpProxy.start(sandbox.info.wsUrl);
    await using _proxy = proxy;
    const wsUrl = proxy.urlOf(sandbox.info.wsUrl);
    await using cut = await Sandbox.connect({ wsUrl, token: sandbox.info.dataToken });
    const sleep = await cut.spawn(['sleep', '62']);
    proxy.cut();
    await assert.rejects(sleep.wait(), { code: 'connection_lost' });
    assert.equal((await cut.exec('echo again')).stdout, 'again\n');
  });

  test('another client goes on with a process that was left, from any byte', async () => {
    const left = await sandbox.spawn('echo 0123456789; read x; echo "got $x"', { persist: true });
    await left.stdout.next();
    await left.detach();
    const listed = await sandbox.processes.list();
    const entry = listed.find(({ process }) => process === left.number);
    assert.deepEqual([entry?.running, entry?.attached, entry?.end], [true, false, 11]);
    await using other = await Sandbox.connect({ wsUrl: sandbox.info.wsUrl, token: sandbox.info.dataToken });
    const attached = await other.processes.attach(left.number, { offset: 5 });
    const output = new CollectedText(attached.stdout);
    await output.has('56789\n');
    const third = await sandbox.processes.attach(left.number);
    await assert.rejects(attached.wait(), { code: 'taken_over' });
    await third.write('it\n');
    const rest = new CollectedText(third.stdout);
    await rest.has('0123456789\ngot it\n');
    assert.equal((await third.wait()).exitCode, 0);
    await assert.rejects(sandbox.processes.attach(4_000_000), { code: 'process_unknown' });
  });

  test('files are written, read, listed, changed and removed', async () => {
    const { files } = sandbox;
    const data = randomBytes(1_500_000);
    const written = await files.write('box/deep/data.bin', data, { parents: true, mode: 0o640 });
    assert.deepEqual(written, { bytes: data.length, sha256: digest(data) });
    assert.equal(digest(await files.read('box/deep/data.bin')), digest(data));
    assert.deepEqual(
      Buffer.from(await files.read('box/deep/data.bin', { offset: 1_000_000, length: 10 })),
      data.subarray(1_000_000, 1_000_010),
    );
    assert.equal((await files.stat('box/deep/data.bin')).mode, 0o640);
    await files.write('box/text', 'zwölf');
    await files.write('box/text', ' Boxkämpfer', { append: true });
    assert.equal(await files.readText('box/text'), 'zwölf Boxkämpfer');
    assert.deepEqual(
      (await files.list('box')).map(({ name, kind }) => [name, kind]),
      [
        ['deep', 'directory'],
        ['text', 'file'],
      ],
    );
    await files.rename('box/text', 'box/moved');
    assert.deepEqual([await files.exists('box/text'), await files.exists('box/moved')], [false, true]);
    assert.equal((await files.change('box/moved', { mode: 0o600 })).mode, 0o600);
    assert.equal(await files.mkdir('box/more/dirs', { parents: true }), true);
    await assert.rejects(files.remove('box'), { code: 'not_empty' });
    assert.equal(await files.remove('box', { recursive: true }), 6);
    await assert.rejects(files.read('box/moved'), { name: 'WarmpoolClientError', code: 'not_found' });
    await assert.rejects(files.write('/etc/passwd', 'x'), { code: 'read_only' });
    await files.write('secret', 'x', { mode: 0 });
    await assert.rejects(files.read('secret'), { code: 'permission_denied' });
    await assert.rejects(files.within({ root: '/tmp' }).read('/etc/hostname'), { code: 'outside_root' });
    await assert.rejects(files.read('/dev/zero'), { code: 'not_regular' });
  });

  test('files are streams of the web and of Node, and any iterable', async () => {
    const { files } = sandbox;
    const data = randomBytes(700_000);
    await files.write('stream', new Blob([data]).stream());
    const back = await new Response(await files.readStream('stream')).arrayBuffer();
    assert.equal(digest(new Uint8Array(back)), digest(data));
    const hash = createHash('sha256');
    await files.write('stream2', files.createReadStream('stream'));
    for await (const piece of files.createReadStream('stream2')) hash.update(piece);
    assert.equal(hash.digest('hex'), digest(data));
    await assert.rejects(files.read('stream', { bytesMax: 1_000 }), { code: 'too_large' });
    await assert.rejects(once(files.createReadStream('nothing').resume(), 'end'), { code: 'not_found' });
    const failing = (async function* () {
      yield 'new';
      throw new Error('the source failed');
    })();
    await assert.rejects(files.write('stream2', failing), /the source failed/);
    assert.equal((await files.stat('stream2')).size, data.length);
  });

  test('a watch tells what changes', async () => {
    const { files } = sandbox;
    await files.mkdir('watched');
    const watch = await files.watch('watched');
    await files.write('watched/new', 'x');
    for await (const event of watch) {
      if (event.event === 'created' && event.path === 'new') break;
    }
    watch.close();
  });

  test('a directory goes up and comes down the same: bytes, modes, links, empty directories', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'wp-sync-'));
    try {
      const local = join(folder, 'up');
      await mkdir(join(local, 'sub/empty'), { recursive: true });
      for (let i = 0; i < 120; i += 1) await writeFile(join(local, `sub/file-${i}`), randomBytes(i * 100));
      await writeFile(join(local, 'große Datei.bin'), randomBytes(2_000_000), { mode: 0o700 });
      await writeFile(join(local, `${'n'.repeat(200)}.txt`), 'a long name');
      await symlink('sub/file-3', join(local, 'link'));
      const progress: number[] = [];
      const up = await sandbox.files.upload(local, 'synced', {
        onProgress: ({ bytes }) => progress.push(bytes),
      });
      assert.equal(up.entries, 125);
      assert.ok(progress.length > 100);
      assert.equal((await sandbox.files.stat('synced/große Datei.bin')).mode, 0o700);
      const down = await sandbox.files.download('synced', join(folder, 'down'));
      assert.equal(down.bytes, up.bytes);
      assert.deepEqual(await treeOf(join(folder, 'down')), await treeOf(local));
      const one = await sandbox.files.download('synced/große Datei.bin', join(folder, 'one/copy.bin'));
      assert.equal(one.bytes, 2_000_000);
      assert.equal((await stat(join(folder, 'one/copy.bin'))).mode & 0o777, 0o700);
      await sandbox.files.upload(join(folder, 'one/copy.bin'), 'alone/there.bin');
      assert.equal((await sandbox.files.stat('alone/there.bin')).size, 2_000_000);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('a web server inside is reached by way of a local port', async () => {
    const serving = await sandbox.spawn(
      ['python3', '-u', '-m', 'http.server', '8123', '--bind', '127.0.0.1'],
      {
        stderr: 'ignore',
        cwd: '/etc',
      },
    );
    await serving.stdout.next();
    const ports = await sandbox.ports.watch();
    for await (const { port, open } of ports) if (port === 8123 && open) break;
    assert.ok((await sandbox.ports.list()).includes(8123));
    await using forward = await sandbox.ports.forward(8123, { localPort: 0 });
    const answers = await Promise.all(Array.from({ length: 8 }, () => httpGet(forward.port, '/passwd')));
    const passwd = await sandbox.files.readText('/etc/passwd');
    for (const answer of answers) assert.equal(answer, passwd);
    const stream = await sandbox.ports.connectStream(8123);
    stream.end('GET / HTTP/1.0\r\n\r\n');
    assert.match(String((await once(stream, 'data'))[0]), /200 OK/);
    stream.destroy();
    serving.kill();
    await serving.wait();
    await assert.rejects(sandbox.ports.connect(8123), { code: 'connection_refused' });
    const errors: unknown[] = [];
    await using broken = await sandbox.ports.forward(8124, {
      localPort: 0,
      onError: (error) => errors.push(error),
    });
    await assert.rejects(httpGet(broken.port, '/'));
    await until(() => errors.length > 0, 'the error of the forward');
    assert.equal((errors[0] as { code?: string }).code, 'connection_refused');
  });

  test('a local port that is taken is an error', async () => {
    const taken = createServer();
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    try {
      const { port } = taken.address() as AddressInfo;
      await assert.rejects(sandbox.ports.forward(80, { localPort: port }), { code: 'EADDRINUSE' });
    } finally {
      taken.close();
    }
  });

  test('stats, the round trip and the lease', async () => {
    assert.ok((await sandbox.stats()).uptimeMs > 0);
    assert.ok((await sandbox.ping()) > 0);
    assert.ok((await sandbox.keepAlive(600_000)).remainingMs > 500_000);
    assert.ok((sandbox.lease?.remainingMs ?? 0) > 500_000);
  });

  test('hundreds of commands at once share one connection', async () => {
    const done = await Promise.all(
      Array.from({ length: 100 }, (_, index) => sandbox.exec(['echo', String(index)])),
    );
    assert.deepEqual(
      done.map(({ stdout }) => stdout),
      done.map((_, index) => `${index}\n`),
    );
  });

  test('the block that took a sandbox gives it back; a sandbox that ends says why', async () => {
    let id = '';
    {
      await using own = await warmpool.create('base');
      id = own.id;
      await own.exec('true');
      const seen = await warmpool.get(id);
      assert.equal((await seen.exec('echo here')).stdout, 'here\n');
      const ended = new Promise((resolve) => {
        seen.onState((state) => {
          if (state.state === 'closed') resolve(state.error);
        });
      });
      await own.delete();
      const error = (await within(ended, () => `the end; ${JSON.stringify(seen.lease)}`)) as {
        code: string;
        details: { reason?: string };
      };
      assert.deepEqual([error.code, error.details.reason], ['sandbox_ended', 'deleted']);
      await assert.rejects(seen.exec('true'), { code: 'sandbox_ended' });
    }
    await assert.rejects(warmpool.get('07xxxxxxxxxxxxxxxxxx'), {
      name: 'WarmpoolClientError',
      code: 'sandbox_not_found',
    });
    const states = [];
    for await (const each of warmpool.list()) states.push([each.id, each.state]);
    assert.ok(!states.some(([each, state]) => each === id && state === 'running'));
  });

  test('a token of another sandbox opens nothing', async () => {
    await using other = await warmpool.create('base');
    await assert.rejects(
      Sandbox.connect({ wsUrl: sandbox.info.wsUrl, token: other.info.dataToken }),
      (error) => {
        assert.match((error as { code: string }).code, /^(unauthenticated|forbidden|sandbox_not_found)$/);
        return true;
      },
    );
  });
});

function lines(pieces: AsyncIterable<Uint8Array>): { next(): Promise<string | undefined> } {
  const iterator = (async function* () {
    let rest = '';
    for await (const piece of pieces) {
      const whole = (rest + Buffer.from(piece).toString()).split('\n');
      rest = whole.pop() ?? '';
      yield* whole;
    }
  })();
  return { next: async () => (await iterator.next()).value ?? undefined };
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function httpGet(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

/** Every path below with what it is. */
async function treeOf(folder: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1);
    if (entry.isSymbolicLink()) tree[name] = `-> ${await readlink(path)}`;
    else if (entry.isDirectory()) tree[name] = 'directory';
    else tree[name] = `${((await stat(path)).mode & 0o777).toString(8)} ${digest(await readFile(path))}`;
  }
  return tree;
}

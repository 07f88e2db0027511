import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type ServiceSandbox, Warmpool } from '../../src/client/node/entry-node.ts';
import { eventually } from '../support/bubblewrap-sandboxes.ts';
import { CliProcess, type CliResult } from '../support/cli-process.ts';
import { requirement } from '../support/requirements.ts';
import { TestService } from '../support/service.ts';
import { PseudoTerminal, ptyMissing } from './pseudo-terminal.ts';

describe('commands over a connection into a sandbox, on bubblewrap', await requirement('bubblewrap'), () => {
  let service: TestService;
  let warmpool: Warmpool;
  let sandbox: ServiceSandbox;
  let id: string;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wp-cli-'));
    service = await TestService.start({ pools: [{ name: 'base', size: { minReady: 1 } }] });
    warmpool = new Warmpool({ address: service.grpc });
    sandbox = await warmpool.create('base', { timeoutMs: 600_000 });
    id = sandbox.id;
  });
  after(async () => {
    sandbox?.close();
    warmpool?.close();
    await service?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const env = () => ({ WARMPOOL_ADDRESS: service.grpc });
  const start = (...args: readonly string[]) => new CliProcess(args, env());
  const run = (...args: readonly string[]): Promise<CliResult> => start(...args).result();

  test('cp copies a file in and out, and says what it did', async () => {
    const data = randomBytes(300_000);
    await writeFile(join(folder, 'in.bin'), data, { mode: 0o750 });
    const copied = await run('cp', join(folder, 'in.bin'), `${id}:/tmp/there.bin`, '--json');
    const { duration_ms: durationMs, ...document } = JSON.parse(copied.stdout);
    assert.deepEqual(document, { bytes: 300_000, entries: 1, skipped: [] });
    assert.ok(durationMs > 0);
    assert.equal((await sandbox.files.stat('/tmp/there.bin')).mode, 0o750);
    assert.deepEqual(await run('cp', `${id}:/tmp/there.bin`, join(folder, 'out.bin')), {
      code: 0,
      stdout: '',
      stderr: '',
    });
    assert.deepEqual(await readFile(join(folder, 'out.bin')), data);
  });

  test('cp copies directories, into one that exists under their own name', async () => {
    await mkdir(join(folder, 'project/src'), { recursive: true });
    await writeFile(join(folder, 'project/src/main.c'), 'int main(void) { return 7; }\n');
    await run('cp', join(folder, 'project'), `${id}:new`);
    assert.equal(await sandbox.files.exists('new/src/main.c'), true);
    await run('cp', join(folder, 'project'), `${id}:/tmp`);
    assert.equal(await sandbox.files.exists('/tmp/project/src/main.c'), true);
    await mkdir(join(folder, 'back'));
    await run('cp', `${id}:new/src`, join(folder, 'back'));
    assert.equal(await readFile(join(folder, 'back/src/main.c'), 'utf8'), 'int main(void) { return 7; }\n');
    await run('cp', `${id}:new/.`, join(folder, 'back'));
    assert.equal(await readFile(join(folder, 'back/src/main.c'), 'utf8'), 'int main(void) { return 7; }\n');
  });

  test('cp says what is wrong', async () => {
    const nowhere = await run('cp', `${id}:/tmp/nothing`, folder);
    assert.equal(nowhere.code, 125);
    assert.equal(nowhere.stderr, `warmpool: ${id}:/tmp/nothing: No such file or directory\n`);
    assert.match((await run('cp', 'a', 'b')).stderr, /one of the two must be in a sandbox, written ID:path/);
    assert.match((await run('cp', `${id}:a`, `${id}:b`)).stderr, /one of the two must be on this machine/);
    const missing = join(folder, 'nothing');
    const { stderr } = await run('cp', missing, `${id}:x`);
    assert.equal(stderr, `warmpool: ${missing}: no such file or directory\n`);
  });

  test('port-forward lets programs here reach a port inside, until interrupted', async () => {
    const serving = await sandbox.spawn(['python3', '-u', '-m', 'http.server', '8200'], {
      stderr: 'ignore',
      cwd: '/etc',
    });
    await serving.stdout.next();
    const forward = start('port-forward', id, '0:8200', '--json');
    await forward.printed('\n');
    const { host, port, sandbox_port: inside } = JSON.parse(forward.stdout);
    assert.deepEqual([host, inside], ['127.0.0.1', 8_200]);
    assert.match(await httpGet(port, '/passwd'), /root:x:0:0/);
    forward.child.kill('SIGINT');
    assert.equal((await forward.result()).code, 0);
    serving.kill();
    const wrong = await run('port-forward', id, '70000');
    assert.equal(wrong.code, 2);
  });

  test('watch ID PATH prints what changes', async () => {
    await sandbox.files.mkdir('/tmp/watched/below', { parents: true });
    const watching = start('watch', id, '/tmp/watched', '-r', '--json');
    let isTold = false;
    const wrote = (async () => {
      // What is written before the watch is on is not told: go on until something is.
      while (!isTold) await sandbox.files.write('/tmp/watched/below/deep.txt', 'x');
    })();
    await watching.printed('deep.txt').finally(() => {
      isTold = true;
    });
    await wrote;
    watching.child.kill('SIGINT');
    const { code, stdout } = await watching.result();
    assert.equal(code, 0);
    const [first] = stdout.split('\n').map((line) => JSON.parse(line || 'null'));
    assert.equal(first.path, 'below/deep.txt');
    assert.match((await run('watch', id, '/nowhere')).stderr, /No such file/);
  });

  test('top shows usage as lines, as documents, and as often as asked', async () => {
    const json = await run('top', id, '--json', '--count', '2', '--interval', '50ms');
    const documents = json.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.equal(documents.length, 2);
    assert.equal(documents[0].cpu_share, null);
    assert.equal(typeof documents[1].cpu_share, 'number');
    assert.ok(documents[1].uptime_ms > 0);
    const people = await run('top', id, '--count', '2', '--interval', '50ms');
    assert.match(people.stdout, /^CPU +MEMORY +DISK +PIDS +UP +PORTS\n.*\n.*\n$/);
  });

  test('errors of the connection say what to do', async () => {
    const gone = await run('top', '07xxxxxxxxxxxxxxxxxx');
    assert.equal(gone.code, 125);
    assert.match(gone.stderr, /^warmpool: no sandbox has the id/);
  });

  test('exec -t gives a terminal, and passes the exit code on', async () => {
    const done = await run('exec', '-t', id, '--', 'sh', '-c', 'test -t 1 && stty size; exit 9');
    assert.deepEqual(done, { code: 9, stdout: '24 80\r\n', stderr: '' });
    const missing = await run('exec', '-t', id, '--', 'no-such-thing');
    assert.equal(missing.code, 127);
  });

  test('shell of a template runs in a sandbox that ends with it', { skip: ptyMissing ?? false }, async () => {
    const seen = new Set((await ids(warmpool)).values());
    await using terminal = new PseudoTerminal(['shell', 'base'], env());
    await terminal.shows('$ ');
    terminal.type('stty size; echo in $(hostname)\r');
    await terminal.shows('25 90\r\n');
    await terminal.shows('in 0');
    terminal.resize(100, 33);
    // Its own words say that it runs in the foreground, and not only its echo: a ^C before that would be the shell's.
    terminal.type("sh -c 'echo up$((1+1)); exec sleep 1000'\r");
    await terminal.shows('up2\r\n');
    terminal.type('\u0003');
    await terminal.shows('$ ');
    terminal.type('stty size; exit 4\r');
    await terminal.shows('33 100\r\n');
    assert.equal(await terminal.end(), 'exit 4 restored');
    assert.deepEqual(new Set((await ids(warmpool)).values()), seen);
  });

  test('~d leaves the shell running, --attach goes on with it, ~. hangs it up', {
    skip: ptyMissing ?? false,
  }, async () => {
    await using first = new PseudoTerminal(['shell', id], env());
    await first.shows('$ ');
    first.type('MARK=kept\r');
    await first.shows('$ ');
    first.type('~d');
    assert.equal(await first.end(), 'exit 0 restored');
    const process = /--attach (\d+)/.exec(first.shown)?.[1] ?? '';

    await using second = new PseudoTerminal(['shell', id, '--attach', process], env());
    await second.shows('$ ');
    second.type('echo mark=$MARK\r');
    await second.shows('mark=kept\r\n');
    second.type('~.');
    await second.shows('hung up');
    assert.equal(await second.end(), 'exit 129 restored');
    const runs = async () =>
      (await sandbox.processes.list()).some((each) => String(each.process) === process && each.running);
    await eventually(async () => !(await runs()), 'the shell ends');
  });

  test('a shell that cannot start leaves the terminal as it was', { skip: ptyMissing ?? false }, async () => {
    await using terminal = new PseudoTerminal(['shell', id, '--cwd', '/nowhere'], env());
    assert.equal(await terminal.end(), 'exit 125 restored');
    assert.match(terminal.shown, /warmpool: .*nowhere|warmpool: chdir/);
  });
});

async function ids(warmpool: Warmpool): Promise<string[]> {
  const found: string[] = [];
  for await (const { id, state } of warmpool.list()) if (state === 'running') found.push(id);
  return found;
}

function httpGet(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
  });
}

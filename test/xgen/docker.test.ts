import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../support/bubblewrap-sandboxes.ts';
import { dockerEngineMissing, ensureBaseImage, useDockerEngine } from '../support/docker-engine.ts';
import { T } from './xgen-client.ts';
import { XgenService } from './xgen-service.ts';

const noDocker = dockerEngineMissing() ?? false;

describe('the xgen dialect on Docker', { skip: noDocker }, () => {
  let engine: Awaited<ReturnType<typeof useDockerEngine>>;
  let service: XgenService;
  let id: string;
  before(async () => {
    engine = await useDockerEngine();
    await ensureBaseImage(engine.dockerHost);
    service = await XgenService.start({
      minReady: 1,
      env: { WARMPOOL_RUNTIME: 'docker', DOCKER_HOST: engine.dockerHost },
    });
    id = (await service.create({ env: { FOO: 'bar' } })).id;
  });
  after(async () => {
    await service?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
  });

  it('3. commands run as uid 1000 in the workspace, with the environment of the dialect', async () => {
    using client = await service.connect(id);
    const { stdout, exitCode } = await client.sh(5, 'echo "$HOME $USER $FOO $(id -u)"; pwd');
    assert.equal(stdout, '/home/sandbox sandbox bar 1000\n/home/sandbox/workspace\n');
    assert.equal(exitCode, 0);
    assert.equal((await client.exec(5, 'no-such-command')).exitCode, 127);
    const exec = await service.call('POST', `/api/v1/sandboxes/${id}/exec`, {
      body: { command: 'sh', args: ['-c', 'pwd; exit 4'] },
    });
    assert.deepEqual(exec.body, { exit_code: 4, stdout: '/home/sandbox/workspace\n', stderr: '' });
  });

  it('6. and 10. input, its end, and terminals', async () => {
    using client = await service.connect(id);
    client.send(T.start, 5, 0, { command: 'wc', args: ['-c'] });
    for (let part = 0; part < 3; part++) client.send(T.stdin, 5, 0, Buffer.alloc(4 + 1_048_576));
    client.send(T.close, 5, 0);
    assert.equal((await client.outcome(5)).stdout.trim(), '3145728');
    client.send(T.start, 6, 0, { command: 'bash', tty: true, cols: 80, rows: 24 });
    client.send(T.stdin, 6, 0, Buffer.from("PS1='at$((1+1))> '; stty size\n"));
    await client.shows(6, /24 80\r\n[^\n]*at2> $/);
    client.send(T.resize, 6, 0, { cols: 120, rows: 40 });
    client.send(T.stdin, 6, 0, Buffer.from('stty size; exit 7\n'));
    await client.output(6, '40 120');
    assert.equal((await client.outcome(6)).exitCode, 7);
  });

  it('13. and 14. files belong to the sandbox user, stay in the workspace, and are watched', async () => {
    using client = await service.connect(id);
    assert.equal((await client.ask(T.watch, { path: '.' })).type, T.ack);
    const content = randomBytes(8 * 1_048_576);
    assert.equal((await client.ask(T.write, { path: 'd/big', content, mode: 0o755 })).type, T.ack);
    assert.ok((await client.ask(T.read, { path: 'd/big' })).payload.equals(content));
    assert.equal((await client.sh(5, 'stat -c "%u %a" d/big; whoami >&2')).stdout, '1000 755\n');
    const event = await client.find(({ type, map }) => type === T.event && map.path === 'd/big');
    assert.equal(event.map.type, 'created');
    await client.sh(5, 'ln -s /etc/passwd pw');
    assert.equal((await client.ask(T.read, { path: 'pw' })).map.code, 'fs_error');
    assert.equal((await client.ask(T.remove, { path: 'd', recursive: true })).type, T.ack);
  });

  it('15. ports are told', async () => {
    using client = await service.connect(id);
    const script =
      'import socket,sys; s=socket.socket(); s.bind(("127.0.0.1",3000)); s.listen(); sys.stdin.read()';
    client.send(T.start, 5, 0, { command: 'python3', args: ['-c', script] });
    await client.find(({ type }) => type === T.portOpen);
    client.send(T.close, 5, 0);
    await client.find(({ type }) => type === T.portClose);
  });

  it('17. what a lost client ran is gone soon', async () => {
    const lost = await service.connect(id);
    lost.send(T.start, 5, 0, { command: 'sleep', args: ['6001'] });
    lost.send(T.start, 6, 0, { command: 'sleep', args: ['6002'], tty: true });
    for (const channel of [5, 6]) {
      await lost.find((frame) => frame.type === T.ack && frame.channel === channel);
    }
    using watcher = await service.connect(id);
    lost.socket.terminate();
    const running = async () => (await watcher.sh(5, 'pgrep -fc "^sleep 600[12]"')).stdout.trim();
    await eventually(async () => (await running()) === '0', 'both are gone');
  });

  it('19. deleting it closes its sockets with 1001', async () => {
    using client = await service.connect(id);
    assert.equal((await service.call('DELETE', `/api/v1/sandboxes/${id}`)).status, 204);
    assert.equal((await client.closed).code, 1001);
    assert.equal((await service.call('GET', `/api/v1/sandboxes/${id}`)).status, 404);
  });
});

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { bubblewrapAsRoot, eventually } from '../support/bubblewrap-sandboxes.ts';
import { pickSeed, seededRandom } from '../support/random.ts';
import { BubblewrapStand } from './bubblewrap-stand.ts';
import { type Encodable, encode } from './msgpack-writer.ts';
import { T, XgenClient } from './xgen-client.ts';

describe('clients of an xgen socket that mean no good', { skip: (await bubblewrapAsRoot()).skip }, () => {
  let stand: BubblewrapStand;
  let id: string;
  before(async () => {
    stand = await BubblewrapStand.start();
    id = await stand.boot();
  });
  after(() => stand[Symbol.asyncDispose]());
  const connect = () => XgenClient.connect(stand.url(id));

  it('random frames break nothing: the same connection and others go on', async () => {
    const seed = pickSeed();
    const random = seededRandom(seed);
    const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
    using other = await connect();
    other.send(T.start, 5, 0, { command: 'cat' });
    using client = await connect();
    for (let count = 0; count < 1_500; count++) {
      const type = random() < 0.1 ? Math.floor(random() * 256) : pick(types);
      const payload = Buffer.from(encode(pick(payloads)));
      if (random() < 0.3 && payload.length > 0)
        payload[Math.floor(random() * payload.length)] = random() * 256;
      const length = random() < 0.2 ? Math.floor(random() * payload.length) : payload.length;
      client.send(type, pick([0, 1, 5, 0xffff_ffff]), pick([0, count + 1]), payload.subarray(0, length));
    }
    await client.roundTrip();
    other.send(T.stdin, 5, 0, Buffer.from('alive\n'));
    other.send(T.close, 5, 0);
    assert.equal((await other.outcome(5)).stdout, 'alive\n', `seed ${seed}`);
    using later = await connect();
    assert.equal((await later.exec(5, 'echo', ['hi'])).stdout, 'hi\n', `seed ${seed}`);
  });

  it('each request with an id has exactly one answer, whatever is in it', async () => {
    using client = await connect();
    const asked: number[] = [];
    for (const [index, payload] of payloads.entries()) {
      for (const type of [
        T.read,
        T.list,
        T.write,
        T.remove,
        T.watch,
        T.signal,
        T.resize,
        T.stdin,
        T.close,
        0x7f,
      ]) {
        asked.push(index * 100 + type);
        client.send(type, 0, index * 100 + type, payload);
      }
    }
    for (const each of asked) await client.answer(each);
    await client.roundTrip();
    for (const each of asked) {
      assert.equal(client.frames.filter((frame) => frame.id === each).length, 1, `id ${each}`);
    }
  });

  it('a client that floods pings without reading is not read any more, and memory stays', async () => {
    using client = await connect();
    client.socket.pause();
    const before = process.memoryUsage().rss;
    const ping = Buffer.alloc(9);
    ping[0] = T.ping;
    ping[8] = 1;
    for (let count = 0; count < 200_000; count++) client.socket.send(ping);
    using other = await connect();
    assert.equal((await other.exec(5, 'true')).exitCode, 0);
    assert.ok(process.memoryUsage().rss - before < 300 * 1_048_576);
  });

  it('an hundred connects and disconnects in the middle of things leave nothing running', async () => {
    for (let round = 0; round < 100; round++) {
      const client = await connect();
      client.send(T.start, 5, 0, { command: 'sleep', args: ['7001'], tty: round % 2 === 0 });
      client.send(T.watch, 0, 0, { path: '.' });
      client.send(T.read, 0, 3, { path: 'x' });
      client.socket.terminate();
    }
    using watcher = await connect();
    const running = async () => (await watcher.sh(5, 'pgrep -fc "^sleep 7001"')).stdout.trim();
    await eventually(async () => (await running()) === '0', 'gone soon');
    await eventually(() => stand.route.size === 1, 'no session is left');
  });
});

const types = Object.values(T);
const payloads: readonly Encodable[] = [
  {},
  null,
  7,
  'text',
  { command: 'true' },
  { command: 'cat', tty: true, cols: 0, rows: 70_000 },
  { command: 'sh', args: ['-c', 'echo x'], env: { A: 'b' }, cwd: '' },
  { command: 'x\0y' },
  { command: 'true', cwd: '/nowhere/\0' },
  { command: 'true', env: { '=': '\0' } },
  { path: '.' },
  { path: '' },
  { path: 'a\0b' },
  { path: '../..' },
  { path: `${'../'.repeat(500)}x` },
  { path: 'x'.repeat(5_000) },
  { path: 'f', content: Buffer.alloc(1_000), mode: 0o7777 },
  { path: '/proc/self/root', recursive: true },
  { path: '.', unwatch: true },
  { signal: 'SIGKILL', process_id: 0xffff_ffff },
  { cols: 10, rows: null },
  Buffer.alloc(3),
  [[[[[[]]]]]],
];

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, it } from 'node:test';
import { decode } from './msgpack-reader.ts';
import type { XgenPlace } from './process-acceptance.ts';
import { type ServerFrame, T, type XgenClient } from './xgen-client.ts';

const root = '/home/sandbox/workspace';

/** Files over a socket: points 13 and 14 of the acceptance, as tests of the suite that calls it. */
export function fileAcceptance(place: () => XgenPlace): void {
  let client: XgenClient;
  before(async () => {
    client = await place().connect();
  });
  after(() => client?.[Symbol.dispose]());

  it('13. the worked examples of files, byte by byte', async () => {
    client.sendHex('31 00000000 00000002 82a470617468a5612e747874a7636f6e74656e74c40368690a');
    assert.equal((await client.answer(2)).hex, '040000000000000002');
    client.sendHex('30 00000000 00000001 81a470617468a5612e747874');
    assert.equal((await client.answer(1)).hex, '30000000000000000168690a');
    await client.sh(5, 'touch -d @1700000000 a.txt');
    client.sendHex('32 00000000 00000003 81a470617468a12e');
    assert.equal(
      (await client.answer(3)).hex,
      '3200000000000000039186a46e616d65a5612e747874a473697a6503a56973446972c2a76d6f6454696d65ce6553f100a669735f646972c2a86d6f645f74696d65ce6553f100',
    );
    client.sendHex('33 00000000 00000004 82a470617468a5612e747874a9726563757273697665c2');
    assert.equal((await client.answer(4)).hex, '040000000000000004');
    client.sendHex('32 00000000 00000005 81a470617468a12e');
    assert.equal((await client.answer(5)).hex, '32000000000000000590');
    client.sendHex('30 00000000 00000006 81a470617468a5612e747874');
    assert.equal(
      (await client.answer(6)).hex,
      '03000000000000000682a4636f6465a866735f6572726f72a76d657373616765b3612e7478743a206e6f20737563682066696c65',
    );
  });

  it('13. 8 MiB of random bytes come back as they were written', async () => {
    const content = randomBytes(8 * 1_048_576);
    assert.equal((await client.ask(T.write, { path: 'deep/er/big', content })).type, T.ack);
    const read = await client.ask(T.read, { path: 'deep/er/big' });
    assert.equal(read.type, T.read);
    assert.ok(read.payload.equals(content));
  });

  it('13. a file of the most that a message holds is read; one byte more is refused', async () => {
    await client.sh(5, 'head -c 16777207 /dev/zero > most; head -c 16777208 /dev/zero > more');
    assert.equal((await client.ask(T.read, { path: 'most' })).bytes.length, 16_777_216);
    assertFailed(await client.ask(T.read, { path: 'more' }), 'fs_error');
    await client.sh(5, 'rm most more');
  });

  it('13. a mode makes a file executable, the default is 0644, and files belong to the sandbox user', async () => {
    const content = Buffer.from('#!/bin/sh\necho ran\n');
    await client.ask(T.write, { path: 'run.sh', content, mode: 0o755 });
    assert.equal((await client.exec(5, `${root}/run.sh`)).stdout, 'ran\n');
    await client.ask(T.write, { path: 'run.sh', content });
    assert.equal((await client.sh(5, 'stat -c "%a %u" run.sh')).stdout, '644 1000\n');
  });

  it('13. a list has all six keys, is sorted by name, and knows directories', async () => {
    await client.sh(5, 'mkdir -p l/dir; echo 12345 > l/b; touch l/a l/Z; ln -s b l/link');
    const entries = listOf(await client.ask(T.list, { path: 'l' }));
    assert.deepEqual(
      entries.map(({ name }) => name),
      ['Z', 'a', 'b', 'dir', 'link'],
    );
    for (const entry of entries) {
      assert.deepEqual(Object.keys(entry), ['name', 'size', 'isDir', 'modTime', 'is_dir', 'mod_time']);
      assert.equal(entry.isDir, entry.name === 'dir');
      assert.equal(entry.isDir, entry.is_dir);
      assert.equal(entry.modTime, entry.mod_time);
    }
    assert.equal(entries[2]?.size, 6);
  });

  it('13. a size over 32 bits is an integer', async () => {
    await client.sh(5, 'truncate -s 5000000000 huge');
    const entry = listOf(await client.ask(T.list, { path: '.' })).find(({ name }) => name === 'huge');
    await client.sh(5, 'rm huge');
    assert.equal(entry?.size, 5_000_000_000n);
  });

  it('13. what cannot be removed or read is an fs_error with channel and id echoed', async () => {
    await client.sh(5, 'mkdir -p full && touch full/x');
    const failures = [
      await client.ask(T.remove, { path: 'full' }, 42),
      await client.ask(T.remove, { path: '.' }, 42),
      await client.ask(T.remove, { path: root, recursive: true }, 42),
      await client.ask(T.remove, { path: 'nothing' }, 42),
      await client.ask(T.read, { path: 'nothing' }, 42),
      await client.ask(T.read, { path: 'full' }, 42),
      await client.ask(T.list, { path: 'nothing' }, 42),
      await client.ask(T.list, { path: 'full/x' }, 42),
      await client.ask(T.write, { path: 'full/x/y', content: '' }, 42),
    ];
    for (const failure of failures) {
      assertFailed(failure, 'fs_error');
      assert.equal(failure.channel, 42);
      assert.ok(!String(failure.map.message).includes('/home'), String(failure.map.message));
    }
    assert.equal((await client.ask(T.remove, { path: 'full', recursive: true })).type, T.ack);
    assertFailed(await client.ask(T.write, { path: 'x' }), 'invalid_payload');
  });

  it('13. what leads out of the workspace is refused, by words and by links', async () => {
    await client.sh(
      5,
      `ln -sf /etc/passwd pw; mkdir -p ${root}-evil; echo evil > ${root}-evil/x; ln -sfn ${root}-evil out; ln -sfn / all`,
    );
    for (const path of [
      '../x',
      'pw',
      'out/x',
      'all/etc/passwd',
      `${root}-evil/x`,
      `${root}/../workspace-evil/x`,
    ]) {
      assertFailed(await client.ask(T.read, { path }), 'fs_error');
    }
    for (const path of ['../new', 'out/new', 'all/tmp/new']) {
      assertFailed(await client.ask(T.write, { path, content: 'x' }), 'fs_error');
    }
    assertFailed(await client.ask(T.list, { path: 'all' }), 'fs_error');
    assertFailed(await client.ask(T.remove, { path: 'out/x' }), 'fs_error');
    assert.equal(
      (await client.sh(5, `cat ${root}-evil/x; ls ${root}-evil /tmp`)).stdout.includes('new'),
      false,
    );
    assert.equal((await client.ask(T.remove, { path: 'pw' })).type, T.ack, 'the link itself may go');
  });

  it('13. the workspace in full, and a leading slash, name the same file', async () => {
    await client.ask(T.write, { path: `${root}/same.txt`, content: 'same' });
    for (const path of ['same.txt', '/same.txt', `${root}/same.txt`, './x/../same.txt']) {
      assert.equal((await client.ask(T.read, { path })).payload.toString(), 'same', path);
    }
  });

  it('13. requests on one path happen in order, though none waits for an answer', async () => {
    const ids = Array.from({ length: 20 }, (_, index) => 100 + index);
    for (const each of ids) client.send(T.write, 0, each, { path: 'seq', content: `${each}` });
    client.send(T.read, 0, 200, { path: 'seq' });
    client.send(T.remove, 0, 201, { path: 'seq' });
    client.send(T.read, 0, 202, { path: 'seq' });
    assert.equal((await client.answer(200)).payload.toString(), '119');
    assert.equal((await client.answer(201)).type, T.ack);
    assertFailed(await client.answer(202), 'fs_error');
  });

  it('14. what is created, modified and deleted is told, by its path in the workspace', async () => {
    using watching = await place().connect();
    using other = await place().connect();
    assert.equal((await watching.ask(T.watch, { path: '.' })).hex.slice(0, 10), '0400000000');
    watching.send(T.watch, 0, 0, { path: '.' });
    await watching.find((frame) => frame.type === T.ack && frame.id === 0);
    const told = (path: string, type: string) =>
      eventOf(watching, (event) => event.path === path && event.type === type);
    await other.sh(5, 'mkdir -p w/sub; echo 1 > w/sub/f');
    assert.equal((await told('w/sub/f', 'created')).hex.slice(0, 18), '350000000000000000');
    await other.sh(5, 'echo 2 >> w/sub/f');
    await told('w/sub/f', 'modified');
    await other.sh(5, 'ln -s f w/sub/l; rm w/sub/f');
    await told('w/sub/l', 'created');
    await told('w/sub/f', 'deleted');
    assert.ok(!eventsOf(watching).some(({ path }) => path === 'w' || path === 'w/sub'), 'no directories');
    assert.deepEqual(eventsOf(other), []);

    assert.equal((await watching.ask(T.watch, { path: '.', unwatch: true })).type, T.ack);
    const before = eventsOf(watching).length;
    await other.sh(5, 'echo 3 > w/sub/late');
    await watching.ask(T.list, { path: 'w' });
    assert.equal(eventsOf(watching).length, before);
  });

  it('14. a path that does not exist yet is watched from when it appears, and again when it reappears', async () => {
    using watching = await place().connect();
    assert.equal((await watching.ask(T.watch, { path: 'yet/to/come' })).type, T.ack);
    await client.sh(5, 'mkdir yet; echo no > yet/other');
    await client.sh(5, 'mkdir -p yet/to/come; echo yes > yet/to/come/f');
    await eventOf(watching, (event) => event.path === 'yet/to/come/f');
    assert.deepEqual([...new Set(eventsOf(watching).map(({ path }) => path))], ['yet/to/come/f']);
    await client.sh(5, 'rm -r yet; mkdir -p yet/to/come; echo again > yet/to/come/g');
    await eventOf(watching, (event) => event.path === 'yet/to/come/g');
  });

  it('14. a watched folder that goes and comes back is watched again', async () => {
    using watching = await place().connect();
    await client.sh(5, 'mkdir -p back');
    assert.equal((await watching.ask(T.watch, { path: 'back' })).type, T.ack);
    await client.sh(5, 'rm -r back');
    await client.sh(5, 'sleep 0.5; mkdir back; sleep 0.5; echo 1 > back/f');
    await eventOf(watching, (event) => event.path === 'back/f');
  });

  it('14. a path outside the workspace, and the 65th watch, are a watch_error', async () => {
    using watching = await place().connect();
    assertFailed(await watching.ask(T.watch, { path: '../x' }), 'watch_error');
    await client.sh(5, 'ln -sfn /etc etc-link; for i in $(seq 64); do mkdir -p many/$i; done');
    assertFailed(await watching.ask(T.watch, { path: 'etc-link' }), 'watch_error');
    const asked = Array.from({ length: 64 }, (_, index) =>
      watching.ask(T.watch, { path: `many/${index + 1}` }),
    );
    for (const answer of await Promise.all(asked)) assert.equal(answer.type, T.ack);
    assertFailed(await watching.ask(T.watch, { path: 'one-more' }), 'watch_error');
    assert.equal((await watching.ask(T.watch, { path: 'many/1', unwatch: true })).type, T.ack);
    assert.equal((await watching.ask(T.watch, { path: 'one-more' })).type, T.ack);
  });
}

function assertFailed(frame: ServerFrame, code: string): void {
  assert.equal(frame.type, T.error);
  assert.equal(frame.map.code, code);
  assert.equal(typeof frame.map.message, 'string');
}

function listOf(frame: ServerFrame): Record<string, unknown>[] {
  assert.equal(frame.type, T.list);
  return decode(frame.payload) as Record<string, unknown>[];
}

function eventsOf(client: XgenClient): Record<string, unknown>[] {
  return client.frames.filter(({ type }) => type === T.event).map(({ map }) => map);
}

/** The event, past or future. */
function eventOf(
  client: XgenClient,
  wanted: (event: Record<string, unknown>) => boolean,
): Promise<ServerFrame> {
  return client.find(({ type, map }) => type === T.event && wanted(map));
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { messageTypes } from '../../protocol/message-types.ts';
import { exitFrame, openScripted } from './scripted-guest.ts';
import { assertAlive, command, discard, running, unreachable } from './scripted-link.ts';

const { Output, Ping, Pong } = messageTypes;

describe('the link', () => {
  it('sends all frames of a tick in one write', async () => {
    const { guest, link } = await openScripted();
    const before = guest.writes.length;
    const started = Array.from({ length: 50 }, () => link.spawn(command(), discard));
    for (let index = 0; index < 50; index += 1) await guest.acknowledge(index + 1);
    await Promise.all(started);
    assert.equal(guest.writes.length, before + 1);
    link.close();
  });

  it('answers a Ping, and times its own', async () => {
    const { guest, link, clock } = await openScripted();
    guest.send({ type: Ping.code, id: 77, payload: Buffer.from('hey') });
    const pong = await guest.next(Pong.code);
    assert.equal(pong.id, 77);
    assert.equal(Buffer.from(pong.payload).toString(), 'hey');
    const silent = link.ping(100);
    const late = await guest.next(Ping.code);
    clock.advance(100);
    await assert.rejects(silent, unreachable(/did not answer within 100 ms/));
    guest.send({ ...late, type: Pong.code });
    await assertAlive(guest, link);
    assert.equal(clock.timers, 0);
    link.close();
  });

  it('D20 asks a silent guest no more after 64 pings', async () => {
    const { link, clock } = await openScripted();
    const pings = Array.from({ length: 65 }, () => link.ping(10));
    await assert.rejects(pings[64] ?? Promise.resolve(), unreachable(/owes 64/));
    clock.advance(10);
    for (const ping of pings) await assert.rejects(ping, { code: 'GUEST_UNREACHABLE' });
    link.close();
  });

  it('I14 answers no Pings while the guest does not read', async () => {
    const { guest, link } = await openScripted();
    const { process } = await running(guest, link);
    guest.stall();
    await process.writeStdin(Buffer.alloc(200_000));
    await nextTurn();
    const queuedBytes = guest.transport.writableLength;
    const pings = Array.from({ length: 1_000 }, (_, id) => ({
      type: Ping.code,
      id,
      payload: Buffer.alloc(64),
    }));
    for (let round = 0; round < 20; round += 1) {
      guest.send(...pings);
      await nextTurn();
    }
    assert.equal(guest.transport.writableLength, queuedBytes);
    link.close();
  });

  it('I14 is given up when the guest lets control frames pile up', async () => {
    const { guest, link } = await openScripted({}, { channelsMax: 1_024 });
    const { process } = await running(guest, link);
    guest.stall();
    await process.writeStdin(Buffer.alloc(200_000));
    let closed = false;
    void link.closed.then(() => {
      closed = true;
    });
    const fat = command({ env: { FAT: 'x'.repeat(60_000) } });
    for (let round = 0; !closed && round < 100; round += 1) {
      for (let index = 0; !closed && index < 20; index += 1) link.spawn(fat, discard).catch(() => {});
      await nextTurn();
    }
    assert.equal(await link.closed, 'the guest does not read its input');
  });

  it('D20 leaves nothing pending when it is lost', async () => {
    const { guest, link, clock } = await openScripted({}, { window: 10 });
    const { process } = await running(guest, link);
    const starting = link.spawn(command(), discard);
    const pending = [process.exited, process.writeStdin(Buffer.alloc(100)), starting, link.ping(1_000)];
    const settled = Promise.allSettled(pending);
    await nextTurn();
    guest.transport.destroy(new Error('ECONNRESET'));
    for (const outcome of await settled) {
      assert.equal(outcome.status, 'rejected');
      assert.ok(unreachable(/ECONNRESET/)(outcome.reason));
    }
    assert.match(await link.closed, /ECONNRESET/);
    await assert.rejects(link.spawn(command(), discard), unreachable(/ECONNRESET/));
    await assert.rejects(link.ping(10), unreachable(/ECONNRESET/));
    await assert.rejects(process.writeStdin(Buffer.from('x')), unreachable(/ECONNRESET/));
    process.release(0);
    process.signal(9);
    process.endStdin();
    assert.equal(clock.timers, 0);
  });

  it('can be closed by a receiver in the middle of its output', async () => {
    const { guest, link } = await openScripted();
    let calls = 0;
    const started = link.spawn(command(), {
      onOutput: () => {
        calls += 1;
        link.close();
      },
    });
    const channel = await guest.acknowledge();
    const process = await started;
    const frame = { type: Output.code, channel, payload: Buffer.from('x') };
    guest.send(frame, frame, exitFrame(channel));
    await assert.rejects(process.exited, unreachable(/the node closed/));
    assert.equal(calls, 1);
    await link[Symbol.asyncDispose]();
  });
});

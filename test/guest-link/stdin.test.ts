import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeCredit } from '../../protocol/control-messages.ts';
import { parseExecSignal } from '../../protocol/exec-messages.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { openScripted } from './scripted-guest.ts';
import { assertAlive, command, discard, running } from './scripted-link.ts';

const { Credit, ExecSignal, Input, InputEof } = messageTypes;

describe('stdin', () => {
  it('waits for credit, in frames of at most 65,536 bytes, and ends behind its last byte', async () => {
    const { guest, link } = await openScripted({}, { window: 100_000 });
    const { process, channel } = await running(guest, link);
    const bytes = Buffer.from(Array.from({ length: 150_000 }, (_, index) => index % 251));
    let settled = false;
    const written = process.writeStdin(bytes).then(() => {
      settled = true;
    });
    process.endStdin();
    const received = [(await guest.next(Input.code)).payload, (await guest.next(Input.code)).payload];
    assert.deepEqual(
      received.map((payload) => payload.length),
      [65_536, 34_464],
    );
    await nextTurn();
    assert.equal(guest.unread.length, 0);
    assert.equal(settled, false);
    guest.send({ type: Credit.code, channel, payload: encodeCredit(60_000) });
    await written;
    received.push((await guest.next(Input.code)).payload);
    assert.equal(Buffer.compare(Buffer.concat(received), bytes), 0);
    await guest.next(InputEof.code);
    await assert.rejects(process.writeStdin(Buffer.from('late')), { code: 'INVALID_REQUEST' });
    link.close();
  });

  it('of several processes takes turns', async () => {
    const { guest, link } = await openScripted();
    const fat = await running(guest, link);
    const thin = await running(guest, link);
    const all = [fat.process.writeStdin(Buffer.alloc(200_000)), thin.process.writeStdin(Buffer.from('x'))];
    await Promise.all(all);
    await nextTurn();
    const channels = guest.unread.map(({ channel }) => channel);
    assert.equal(channels.length, 5);
    assert.ok(channels.indexOf(thin.channel) <= 1, `thin waits for one frame of fat: ${channels}`);
    link.close();
  });

  it('waits while the transport is full, in order with what was sent behind it', async () => {
    const { guest, link } = await openScripted();
    const { process, channel } = await running(guest, link);
    guest.stall();
    await process.writeStdin(Buffer.alloc(100_000));
    await nextTurn();
    const handedOver = guest.unread.length;
    await process.writeStdin(Buffer.from('second'));
    process.signal(15);
    for (const letter of 'third') await process.writeStdin(Buffer.from(letter));
    await nextTurn();
    assert.equal(guest.unread.length, handedOver);
    guest.resume();
    await nextTurn();
    const kinds = guest.unread.map(({ type }) => type);
    assert.deepEqual(kinds, [Input.code, Input.code, Input.code, ExecSignal.code, Input.code]);
    assert.deepEqual(parseExecSignal(guest.unread[3]?.payload ?? Buffer.alloc(0)), { value: 15 });
    assert.equal(
      Buffer.from(guest.unread[4]?.payload ?? []).toString(),
      'third',
      'short writes travel together',
    );
    assert.equal(guest.unread[4]?.channel, channel);
    link.close();
  });

  it('that nobody reads any more counts as written', async () => {
    const { guest, link } = await openScripted({}, { window: 10 });
    const { process, channel } = await running(guest, link);
    const written = process.writeStdin(Buffer.alloc(100));
    guest.exit(channel);
    await written;
    await process.exited;
    await process.writeStdin(Buffer.from('later'));
    process.endStdin();
    process.signal(9);
    process.release(1);
    await assertAlive(guest, link);
    link.close();
  });

  it('is refused for a command that was started without', async () => {
    const { guest, link } = await openScripted();
    const started = link.spawn(command({ stdin: false }), discard);
    await guest.acknowledge();
    await assert.rejects((await started).writeStdin(Buffer.from('x')), { code: 'INVALID_REQUEST' });
    link.close();
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { encodeError, parseCredit } from '../../protocol/control-messages.ts';
import { parseExecStart } from '../../protocol/exec-messages.ts';
import { headerBytes } from '../../protocol/frame.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { ResponderErrorCode } from '../../protocol/responder-error-codes.ts';
import type { ErrorCode } from '../../src/domain/errors.ts';
import { exitFrame, openScripted } from './scripted-guest.ts';
import { assertAlive, command, discard, unreachable } from './scripted-link.ts';

const { Credit, ExecStart, ErrorOutput, Output } = messageTypes;

describe('starting a process', () => {
  it('sends the command as it was given', async () => {
    const { guest, link } = await openScripted();
    const given = command({
      argv: ['a', 'ü'],
      env: { A: '1' },
      cwd: '/x',
      user: 'u',
      stdin: true,
      timeoutMs: 5,
    });
    const started = link.spawn(given, discard);
    started.catch(() => {});
    const frame = await guest.next(ExecStart.code);
    assert.deepEqual(parseExecStart(frame.payload), { value: given });
    link.close();
  });

  const codes: Record<ResponderErrorCode, ErrorCode> = {
    invalid_payload: 'INVALID_REQUEST',
    user_unknown: 'USER_UNKNOWN',
    user_unavailable: 'USER_UNAVAILABLE',
    cwd_invalid: 'CWD_INVALID',
    command_not_found: 'COMMAND_NOT_FOUND',
    command_not_executable: 'COMMAND_NOT_EXECUTABLE',
    limit_exceeded: 'LIMIT_EXCEEDED',
    spawn_failed: 'INTERNAL',
    channel_in_use: 'INTERNAL',
    unknown_message: 'INTERNAL',
    credit_exceeded: 'INTERNAL',
    process_unknown: 'INTERNAL',
    taken_over: 'INTERNAL',
    not_found: 'INTERNAL',
    exists: 'INTERNAL',
    not_directory: 'INTERNAL',
    is_directory: 'INTERNAL',
    not_regular: 'INTERNAL',
    not_empty: 'INTERNAL',
    permission_denied: 'INTERNAL',
    name_invalid: 'INTERNAL',
    outside_root: 'INTERNAL',
    too_many_links: 'INTERNAL',
    no_space: 'INTERNAL',
    read_only: 'INTERNAL',
    cross_device: 'INTERNAL',
    checksum_mismatch: 'INTERNAL',
    archive_invalid: 'INTERNAL',
    io_error: 'INTERNAL',
    connection_refused: 'INTERNAL',
    connection_reset: 'INTERNAL',
    forbidden: 'INTERNAL',
    not_ready: 'INTERNAL',
  };
  const fields: Partial<Record<ResponderErrorCode, string>> = {
    invalid_payload: 'env',
    user_unknown: 'user',
    user_unavailable: 'user',
    cwd_invalid: 'cwd',
    command_not_found: 'argv[0]',
    command_not_executable: 'argv[0]',
  };
  for (const [code, expected] of entries(codes)) {
    it(`answers the guest's ${code} with ${expected}, and the link goes on`, async () => {
      const { guest, link } = await openScripted();
      const refused = link.spawn(command(), discard);
      const { channel, id } = await guest.next(ExecStart.code);
      guest.send({ type: 0x03, channel, id, payload: encodeError({ code, message: 'env: \u001b[31mno' }) });
      await assert.rejects(
        refused,
        (error: Error & { code?: string; details?: { violations?: unknown[] } }) => {
          assert.equal(error.code, expected);
          assert.ok(!error.message.includes('\u001b'));
          const violations = error.details?.violations as { field: string }[] | undefined;
          assert.equal(violations?.[0]?.field, fields[code]);
          return true;
        },
      );
      await assertAlive(guest, link);
      link.close();
    });
  }

  it('refuses a command that does not fit a frame, without the guest', async () => {
    const { guest, link } = await openScripted();
    const tooBig = link.spawn(command({ argv: ['x'.repeat(65_530)] }), discard);
    await assert.rejects(tooBig, { code: 'INVALID_REQUEST' });
    await assertAlive(guest, link);
    link.close();
  });

  it('refuses more processes than the guest has channels, until one ends', async () => {
    const { guest, link } = await openScripted({}, { channelsMax: 1 });
    const first = link.spawn(command(), discard);
    const channel = await guest.acknowledge();
    await first;
    await assert.rejects(link.spawn(command(), discard), { code: 'LIMIT_EXCEEDED' });
    guest.exit(channel);
    await (await first).exited;
    const second = link.spawn(command(), discard);
    await guest.acknowledge();
    await second;
    link.close();
  });

  it('gives the link up when a start is not answered', async () => {
    const { guest, link, clock } = await openScripted({ answerTimeoutMs: 500 });
    const started = link.spawn(command(), discard);
    await guest.next(ExecStart.code);
    clock.advance(500);
    await assert.rejects(started, unreachable(/did not answer ExecStart within 500 ms/));
    assert.equal(clock.timers, 0);
  });
});

describe('output', () => {
  it('arrives in order, and all of it before the exit', async () => {
    const { guest, link } = await openScripted();
    const events: string[] = [];
    const started = link.spawn(command(), {
      onOutput: (stream, bytes) => events.push(`${stream} ${bytes}`),
    });
    const channel = await guest.acknowledge();
    const process = await started;
    const exited = process.exited.then((exit) => events.push(`exit ${exit.exitCode}`));
    guest.send(
      { type: Output.code, channel, payload: Buffer.from('a') },
      { type: ErrorOutput.code, channel, payload: Buffer.from('b') },
      { type: Output.code, channel, payload: Buffer.from('c') },
      exitFrame(channel, 3),
    );
    await exited;
    assert.deepEqual(events, ['stdout a', 'stderr b', 'stdout c', 'exit 3']);
    link.close();
  });

  it('is the receiver’s to keep, and keeps little else alive', async () => {
    const { guest, link } = await openScripted();
    const kept: Buffer[] = [];
    const started = link.spawn(command(), { onOutput: (_stream, bytes) => kept.push(bytes) });
    const channel = await guest.acknowledge();
    await started;
    const frames = [10, 16_384, 10].map((size, index) => ({
      type: Output.code,
      channel,
      payload: Buffer.alloc(size, index + 1),
    }));
    guest.send(...frames);
    await nextTurn();
    assert.deepEqual(
      kept.map((bytes) => bytes.length),
      [10, 16_384, 10],
    );
    for (const bytes of kept) assert.ok(bytes.buffer.byteLength <= (bytes.length + headerBytes) * 4);
    link.close();
  });

  it('gives credit back in halves of the window', async () => {
    const { guest, link } = await openScripted({ window: 1_000 });
    const started = link.spawn(command(), discard);
    const channel = await guest.acknowledge();
    const process = await started;
    guest.send({ type: Output.code, channel, payload: Buffer.alloc(1_000) });
    await nextTurn();
    process.release(499);
    await nextTurn();
    assert.equal(guest.unread.length, 0);
    process.release(61);
    const credit = await guest.next(Credit.code);
    assert.deepEqual(parseCredit(credit.payload), { value: 560 });
    assert.throws(() => process.release(441), /only delivered bytes/);
    link.close();
  });

  it('closes the link, not the service, when its receiver throws', async () => {
    const { guest, link } = await openScripted();
    const started = link.spawn(command(), {
      onOutput: () => {
        throw new Error('receiver');
      },
    });
    const channel = await guest.acknowledge();
    const process = await started;
    guest.send({ type: Output.code, channel, payload: Buffer.from('x') });
    assert.equal(await link.closed, 'a receiver of output failed');
    await assert.rejects(process.exited, unreachable(/receiver/));
  });
});

function entries<K extends string, V>(record: Readonly<Record<K, V>>): [K, V][] {
  return Object.entries(record) as [K, V][];
}

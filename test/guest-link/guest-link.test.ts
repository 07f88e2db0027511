import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { resyncPaddingBytes } from '../../protocol/link-framing.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import {
  encodeCredit,
  encodeError,
  type GuestErrorCode,
  parseCredit,
  parseExecSignal,
  parseExecStart,
  parseHello,
} from '../../protocol/messages.ts';
import type { ErrorCode } from '../../src/domain/errors.ts';
import type { GuestCommand, GuestProcess, OutputSink } from '../../src/guest-link/guest.ts';
import { GuestLink } from '../../src/guest-link/guest-link.ts';
import { ManualClock } from './manual-clock.ts';
import { encodeAll, exitFrame, openScripted, ScriptedGuest, welcomeFrame } from './scripted-guest.ts';

const { Credit, ExecSignal, ExecStart, ExecStderr, ExecStdin, ExecStdinEof, ExecStdout, Hello, Ping, Pong } =
  messageTypes;

describe('opening a link', () => {
  it('sends Hello alone, and opens on the Welcome that repeats its nonce', async () => {
    const guest = new ScriptedGuest();
    const clock = new ManualClock();
    const opening = GuestLink.open(guest.transport, {
      clock,
      resync: false,
      openTimeoutMs: 1_000,
      window: 4_096,
    });
    const hello = await guest.next(Hello.code);
    const parsed = parseHello(hello.payload);
    assert.ok('value' in parsed);
    assert.equal(parsed.value.window, 4_096);
    assert.equal(guest.unread.length, 0);
    guest.send(welcomeFrame({ nonce: parsed.value.nonce }));
    const link = await opening;
    assert.equal(clock.timers, 0);
    link.close();
    assert.equal(await link.closed, 'the node closed the link');
    assert.ok(guest.transport.destroyed);
  });

  it('pads, and discards everything up to its Welcome, when another epoch may be there', async () => {
    const guest = new ScriptedGuest();
    guest.paddingBytes = resyncPaddingBytes;
    const clock = new ManualClock();
    const opening = GuestLink.open(guest.transport, { clock, resync: true, openTimeoutMs: 1_000 });
    const hello = await guest.next(Hello.code);
    assert.equal(guest.paddingBytes, 0);
    const parsed = parseHello(hello.payload);
    assert.ok('value' in parsed);
    guest.sendBytes(Buffer.from('the end of some output WPL1 and more'));
    guest.send({ type: ExecStdout.code, channel: 9, payload: Buffer.from('stale') });
    guest.send(welcomeFrame({ nonce: Buffer.alloc(16, 7) }));
    guest.send({ type: ExecStdout.code, channel: 9, payload: Buffer.from('stale') });
    const welcome = encodeAll([welcomeFrame({ nonce: parsed.value.nonce })]);
    guest.sendBytes(welcome.subarray(0, 20));
    guest.sendBytes(welcome.subarray(20));
    const link = await opening;
    const started = link.spawn(command(), discard);
    await guest.acknowledge();
    assert.equal((await started).pid, 100);
    link.close();
  });

  const failures: {
    name: string;
    act: (guest: ScriptedGuest, clock: ManualClock) => void;
    reason: RegExp;
  }[] = [
    {
      name: 'silence',
      act: (_guest, clock) => clock.advance(1_000),
      reason: /did not answer Hello within 1000 ms/,
    },
    { name: 'the end of the stream', act: (guest) => guest.transport.push(null), reason: /closed its end/ },
    {
      name: 'an error of the transport',
      act: (guest) => guest.transport.destroy(new Error('EPIPE')),
      reason: /transport failed: EPIPE/,
    },
    {
      name: 'the Welcome of another Hello',
      act: (guest) => guest.send(welcomeFrame({ nonce: Buffer.alloc(16) })),
      reason: /nonce of another Hello/,
    },
    {
      name: 'another first frame',
      act: (guest) => guest.send({ type: Ping.code, id: 1 }),
      reason: /Ping before Welcome/,
    },
    {
      name: 'bytes that are no frame',
      act: (guest) => guest.sendBytes(Buffer.from('Segmentation fault')),
      reason: /magic/,
    },
  ];
  for (const { name, act, reason } of failures) {
    it(`fails on ${name}, and lets go of the transport`, async () => {
      const guest = new ScriptedGuest();
      const clock = new ManualClock();
      const opening = GuestLink.open(guest.transport, { clock, resync: false, openTimeoutMs: 1_000 });
      await guest.next(Hello.code);
      act(guest, clock);
      await assert.rejects(opening, unreachable(reason));
      assert.ok(guest.transport.destroyed);
      assert.equal(clock.timers, 0);
    });
  }

  it('fails at once on a transport that is gone already', async () => {
    const guest = new ScriptedGuest();
    guest.transport.destroy();
    const options = { clock: new ManualClock(), resync: false, openTimeoutMs: 1_000 };
    await assert.rejects(GuestLink.open(guest.transport, options), unreachable(/was closed/));
  });
});

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

  const codes: Record<GuestErrorCode, ErrorCode> = {
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
  };
  const fields: Partial<Record<GuestErrorCode, string>> = {
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
    await assert.rejects(started, unreachable(/did not answer a start within 500 ms/));
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
      { type: ExecStdout.code, channel, payload: Buffer.from('a') },
      { type: ExecStderr.code, channel, payload: Buffer.from('b') },
      { type: ExecStdout.code, channel, payload: Buffer.from('c') },
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
      type: ExecStdout.code,
      channel,
      payload: Buffer.alloc(size, index + 1),
    }));
    guest.send(...frames);
    await nextTurn();
    assert.deepEqual(
      kept.map((bytes) => bytes.length),
      [10, 16_384, 10],
    );
    for (const bytes of kept) assert.ok(bytes.buffer.byteLength <= bytes.length * 4);
    link.close();
  });

  it('gives credit back in quarters of the window', async () => {
    const { guest, link } = await openScripted({ window: 1_000 });
    const started = link.spawn(command(), discard);
    const channel = await guest.acknowledge();
    const process = await started;
    guest.send({ type: ExecStdout.code, channel, payload: Buffer.alloc(1_000) });
    await nextTurn();
    process.release(200);
    await nextTurn();
    assert.equal(guest.unread.length, 0);
    process.release(60);
    const credit = await guest.next(Credit.code);
    assert.deepEqual(parseCredit(credit.payload), { value: 260 });
    assert.throws(() => process.release(741), /only delivered bytes/);
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
    guest.send({ type: ExecStdout.code, channel, payload: Buffer.from('x') });
    assert.equal(await link.closed, 'a receiver of output failed');
    await assert.rejects(process.exited, unreachable(/receiver/));
  });
});

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
    const received = [(await guest.next(ExecStdin.code)).payload, (await guest.next(ExecStdin.code)).payload];
    assert.deepEqual(
      received.map((payload) => payload.length),
      [65_536, 34_464],
    );
    await nextTurn();
    assert.equal(guest.unread.length, 0);
    assert.equal(settled, false);
    guest.send({ type: Credit.code, channel, payload: encodeCredit(60_000) });
    await written;
    received.push((await guest.next(ExecStdin.code)).payload);
    assert.equal(Buffer.compare(Buffer.concat(received), bytes), 0);
    await guest.next(ExecStdinEof.code);
    await assert.rejects(process.writeStdin(Buffer.from('late')), { code: 'INVALID_REQUEST' });
    link.close();
  });

  it('of several processes takes turns', async () => {
    const { guest, link } = await openScripted();
    const fat = await running(guest, link);
    const thin = await running(guest, link);
    const all = [fat.process.writeStdin(Buffer.alloc(200_000)), thin.process.writeStdin(Buffer.from('x'))];
    await Promise.all(all);
    assert.deepEqual(
      guest.unread.map(({ channel }) => channel),
      [fat.channel, thin.channel, fat.channel, fat.channel, fat.channel],
    );
    link.close();
  });

  it('waits while the transport is full; control frames do not', async () => {
    const { guest, link } = await openScripted();
    const { process, channel } = await running(guest, link);
    guest.stall();
    await process.writeStdin(Buffer.alloc(100_000));
    let settled = false;
    const second = process.writeStdin(Buffer.from('second')).then(() => {
      settled = true;
    });
    process.signal(15);
    await nextTurn();
    assert.equal(settled, false);
    const queuedBytes = guest.transport.writableLength;
    guest.resume();
    await second;
    assert.ok(queuedBytes > 100_000, 'the signal was handed to the transport behind the first write');
    const kinds = guest.unread.map(({ type }) => type);
    assert.deepEqual(kinds, [ExecStdin.code, ExecStdin.code, ExecSignal.code, ExecStdin.code]);
    assert.deepEqual(parseExecSignal(guest.unread[2]?.payload ?? Buffer.alloc(0)), { value: 15 });
    assert.equal(guest.unread[3]?.channel, channel);
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
    const { guest, link } = await openScripted();
    const { process } = await running(guest, link);
    guest.stall();
    let closed = false;
    void link.closed.then(() => {
      closed = true;
    });
    for (let round = 0; !closed && round < 100; round += 1) {
      for (let index = 0; index < 20_000; index += 1) process.signal(15);
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
    const frame = { type: ExecStdout.code, channel, payload: Buffer.from('x') };
    guest.send(frame, frame, exitFrame(channel));
    await assert.rejects(process.exited, unreachable(/the node closed/));
    assert.equal(calls, 1);
    await link[Symbol.asyncDispose]();
  });
});

function command(change: Partial<GuestCommand> = {}): GuestCommand {
  return { argv: ['true'], env: {}, cwd: '/', user: '', stdin: true, timeoutMs: 0, ...change };
}

const discard: OutputSink = { onOutput: () => {} };

async function running(
  guest: ScriptedGuest,
  link: GuestLink,
): Promise<{ process: GuestProcess; channel: number }> {
  const started = link.spawn(command(), discard);
  const channel = await guest.acknowledge();
  return { process: await started, channel };
}

/** One round trip, with nothing in front of it. */
async function assertAlive(guest: ScriptedGuest, link: GuestLink): Promise<void> {
  const answered = link.ping(1_000);
  const ping = await guest.next(Ping.code);
  guest.send({ ...ping, type: Pong.code });
  await answered;
}

function unreachable(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error && 'code' in error);
    assert.equal(error.code, 'GUEST_UNREACHABLE');
    assert.match(error.message, message);
    return true;
  };
}

function entries<K extends string, V>(record: Readonly<Record<K, V>>): [K, V][] {
  return Object.entries(record) as [K, V][];
}

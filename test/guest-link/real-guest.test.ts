import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { encodeFrame } from '../../protocol/frame.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { GuestLink } from '../../src/guest-link/guest-link.ts';
import { within } from '../support/within.ts';
import { liveMemoryBytes } from './live-memory.ts';
import { command, guestMissing, RealGuest, run, spawnReading } from './real-guest.ts';
import { encodeAll } from './scripted-guest.ts';

const skip = guestMissing();

describe('the link to the real guest agent', { skip }, () => {
  let guest: RealGuest;
  let link: GuestLink;
  before(async () => {
    guest = new RealGuest('once');
    link = await guest.open();
  });
  after(async () => {
    await link?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
  });

  it('answers pings', async () => {
    await link.ping(60_000);
  });

  it('brings back output, exit code and duration', async () => {
    const result = await run(link, command(['sh', '-c', 'echo out; echo err >&2; exit 42']));
    assert.equal(result.stdout, 'out\n');
    assert.equal(result.stderr, 'err\n');
    assert.equal(result.exitCode, 42);
    assert.equal(result.signal, null);
    assert.ok(result.durationUs > 0);
  });

  it('passes environment and working directory', async () => {
    const env = { PATH: '/bin:/usr/bin', GREETING: 'grüß', __proto__x: '1' };
    const result = await run(link, command(['sh', '-c', 'echo "$GREETING $PWD"'], { env, cwd: '/tmp' }));
    assert.equal(result.stdout, 'grüß /tmp\n');
  });

  it('signals the process group', async () => {
    const process = await spawnReading(link, command(['sh', '-c', 'echo up; cat'], { stdin: true }));
    process.signal(15);
    const exit = await within(process.exited, () => 'the end of what was signalled');
    assert.equal(exit.signal, 15);
    assert.equal(exit.exitCode, null);
  });

  it('ends a process at its timeout', async () => {
    const result = await run(link, command(['cat'], { stdin: true, timeoutMs: 50 }));
    assert.equal(result.timedOut, true);
    assert.equal(result.signal, 15);
  });

  const refusals = [
    { what: command(['no-such-command']), code: 'COMMAND_NOT_FOUND', field: 'argv[0]' },
    { what: command(['/no/such/file']), code: 'COMMAND_NOT_FOUND', field: 'argv[0]' },
    { what: command(['/etc/passwd']), code: 'COMMAND_NOT_EXECUTABLE', field: 'argv[0]' },
    { what: command(['true'], { cwd: '/no/such/folder' }), code: 'CWD_INVALID', field: 'cwd' },
    { what: command(['true'], { user: 'no-such-user' }), code: 'USER_UNKNOWN', field: 'user' },
    { what: command(['a\u0000b']), code: 'INVALID_REQUEST', field: 'argv' },
  ];
  for (const { what, code, field } of refusals) {
    it(`refuses ${JSON.stringify({ argv: what.argv, cwd: what.cwd, user: what.user })} with ${code}`, async () => {
      await assert.rejects(run(link, what), (error: Error & { code?: string; details?: object }) => {
        assert.equal(error.code, code);
        const { violations } = error.details as { violations: { field: string }[] };
        assert.equal(violations[0]?.field, field);
        return true;
      });
    });
  }

  it('I14 echoes 64 MB byte for byte with bounded memory', async () => {
    const sent = createHash('sha256');
    const received = createHash('sha256');
    let receivedBytes = 0;
    let hashInside = '';
    const echo = await spawnReading(link, command(['cat'], { stdin: true }), (_stream, bytes) => {
      received.update(bytes);
      receivedBytes += bytes.length;
    });
    const hasher = await spawnReading(link, command(['sha256sum'], { stdin: true }), (_stream, bytes) => {
      hashInside += bytes.toString();
    });
    const chunk = Buffer.alloc(1_000_003);
    const liveBytes: number[] = [];
    for (let index = 0; index < 64; index += 1) {
      for (let at = 0; at + 4 < chunk.length; at += 4_096) chunk.writeUInt32LE(index * 7_919 + at, at);
      sent.update(chunk);
      // What is written is given away: it may leave later than the promise settles.
      const written = Promise.all([
        echo.writeStdin(Buffer.from(chunk)),
        hasher.writeStdin(Buffer.from(chunk)),
      ]);
      await within(written, () => `input being taken; ${receivedBytes} bytes came back`);
      if (index % 8 === 7) liveBytes.push(liveMemoryBytes());
    }
    echo.endStdin();
    hasher.endStdin();
    const ended = Promise.all([echo.exited, hasher.exited]);
    const codes = await within(ended, () => `both ends; ${receivedBytes} bytes came back`);
    assert.deepEqual(
      codes.map(({ exitCode }) => exitCode),
      [0, 0],
    );
    const expected = sent.digest('hex');
    assert.equal(receivedBytes, 64 * chunk.length);
    assert.equal(received.digest('hex'), expected);
    assert.equal(hashInside.split(' ')[0], expected);
    const growth = Math.max(...liveBytes) - (liveBytes[0] ?? 0);
    // The last two of what was given away may be on their way.
    assert.ok(growth < 2_097_152 + 2 * chunk.length, `live memory grew by ${growth} bytes`);
  });

  it('G2 a receiver that releases nothing holds one window, and the other channels go on', async () => {
    const window = 262_144;
    let heldBytes = 0;
    let filled: () => void = () => {};
    const full = new Promise<void>((resolve) => {
      filled = resolve;
    });
    const slow = await link.spawn(command(['head', '-c', '4000000', '/dev/zero']), {
      onOutput: (_stream, bytes) => {
        heldBytes += bytes.length;
        if (heldBytes === window) filled();
        if (heldBytes > window) slow.release(bytes.length);
      },
    });
    await within(full, () => `a full window; ${heldBytes} bytes are held`);
    for (let index = 0; index < 20; index += 1) {
      assert.equal((await run(link, command(['echo', 'hi']))).stdout, 'hi\n');
    }
    assert.equal(heldBytes, window);
    slow.release(window);
    assert.equal((await slow.exited).exitCode, 0);
    assert.equal(heldBytes, 4_000_000);
  });

  it('runs 200 processes at once, each with its own output', async () => {
    const results = await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        run(link, command(['sh', '-c', `echo ${index}; exit ${index}`])),
      ),
    );
    for (const [index, { stdout, exitCode }] of results.entries()) {
      assert.equal(stdout, `${index}\n`);
      assert.equal(exitCode, index);
    }
    await link.ping(60_000);
  });

  it('forgets stdin, signals and credit that cross an exit', async () => {
    for (let index = 0; index < 50; index += 1) {
      const process = await spawnReading(link, command(['true'], { stdin: true }));
      await process.writeStdin(Buffer.alloc(1_000));
      process.signal(15);
      process.endStdin();
      await process.exited;
    }
    await link.ping(60_000);
  });
});

describe('a cut link to the real guest agent', { skip }, () => {
  it('D20 leaves nothing pending when the guest is killed', async () => {
    await using guest = new RealGuest('once');
    const link = await guest.open();
    const process = await spawnReading(link, command(['cat'], { stdin: true }));
    const pending = [process.exited, link.closed];
    guest.child.kill('SIGKILL');
    const [exited, closed] = await Promise.allSettled(pending);
    assert.equal(exited?.status, 'rejected');
    assert.equal(closed?.status, 'fulfilled');
    await assert.rejects(link.spawn(command(['true']), { onOutput: () => {} }), {
      code: 'GUEST_UNREACHABLE',
    });
  });

  it('a guest whose link cannot be reopened ends with its input', async () => {
    await using guest = new RealGuest('once');
    const link = await guest.open();
    link.close();
    const exited = once(guest.child, 'exit');
    guest.child.stdin.end();
    await within(exited, () => 'the end of the guest');
  });

  const halfFrame = encodeAll([
    { type: messageTypes.Input.code, channel: 1, payload: Buffer.alloc(60_000, 'x') },
  ]).subarray(0, 30_000);
  const leftovers = [
    { name: 'nothing', bytes: Buffer.alloc(0) },
    { name: 'half a frame', bytes: halfFrame },
    { name: 'half a header', bytes: halfFrame.subarray(0, 9) },
    { name: 'garbage', bytes: Buffer.from(encodeFrame({ type: 1, channel: 2, id: 3, payload: halfFrame })) },
  ];
  for (const { name, bytes } of leftovers) {
    it(`is taken up by a second link after the first left ${name}`, async () => {
      await using guest = new RealGuest('reattach');
      const first = await guest.open({ window: 65_536 });
      let firstBytes = 0;
      let started: () => void = () => {};
      const flowing = new Promise<void>((resolve) => {
        started = resolve;
      });
      const flood = await first.spawn(command(['cat', '/dev/zero']), {
        onOutput: (_stream, chunk) => {
          firstBytes += chunk.length;
          started();
        },
      });
      await within(flowing, () => 'the first output');
      first.close();
      await assert.rejects(flood.exited, { code: 'GUEST_UNREACHABLE' });
      guest.child.stdin.write(bytes);
      const second = await guest.open({ resync: true });
      const untilGone = `while kill -0 ${flood.pid} 2>/dev/null; do sleep 0.01; done; echo gone`;
      const result = await run(second, command(['sh', '-c', untilGone]));
      assert.equal(result.stdout, 'gone\n');
      assert.ok(firstBytes <= 65_536);
      await second.ping(60_000);
      second.close();
    });
  }
});

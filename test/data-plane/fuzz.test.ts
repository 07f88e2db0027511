import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeCredit } from '../../protocol/control-messages.ts';
import { encodeFrame, parseFrame } from '../../protocol/frame.ts';
import { messageNames, messageTypes as type } from '../../protocol/message-types.ts';
import type { DataSocket } from '../../src/data-plane/data-socket.ts';
import { NativeSession } from '../../src/data-plane/native-session.ts';
import { silentObserver } from '../../src/data-plane/observer.ts';
import { liveMemoryBytes } from '../guest-link/live-memory.ts';
import { ManualClock } from '../guest-link/manual-clock.ts';
import { FakeSession } from '../support/fake-session.ts';
import { pickSeed, seededRandom } from '../support/random.ts';
import { SilentLog } from '../support/silent-log.ts';
import { ScriptedOpener } from './scripted-opener.ts';
import { execStart, map } from './session-fixture.ts';

/** A socket of which only the end is of interest; every message sent must be a frame. */
class CountingSocket implements DataSocket {
  readonly bufferedBytes = 0;
  closedWith: number | null = null;
  sent = 0;

  send(message: Uint8Array): void {
    assert.equal(this.closedWith, null, 'nothing is sent behind the close');
    assert.ok('value' in parseFrame(message));
    this.sent += 1;
  }

  cork(sends: () => void): void {
    sends();
  }

  close(code: number): void {
    assert.equal(this.closedWith, null, 'a socket is closed once');
    this.closedWith = code;
  }

  terminate(): void {
    this.closedWith = 1006;
  }
}

const good: readonly Uint8Array[] = [
  execStart(['sh', '-c', 'true'], { tty: { cols: 80, rows: 24 }, env: { A: 'b' } }),
  map({ path: '/x', offset: 5, length: 2 ** 40 }),
  map({ path: Uint8Array.of(0xff), to: 'y', recursive: true, window: 100 }),
  map({ port: 80 }),
  map({ process: 1, offset: 0 }),
  map({ signal: 9 }),
  map({ cols: 1, rows: 1 }),
  map({ ttl_ms: 5_000 }),
  map({}),
  encodeCredit(70_000),
  new Uint8Array(0),
  Buffer.alloc(300, 0x61),
];

test('T27 100,000 frames, most of them wrong: each session answers or closes, and nothing is left of any', async () => {
  const seed = pickSeed();
  const next = seededRandom(seed);
  const below = (limit: number): number => Math.floor(next() * limit);
  const codes = messageNames().map((name) => type[name].code);
  const ends = new Map<number, number>();
  let frames = 0;
  let before = 0;

  const mutated = (bytes: Uint8Array): Uint8Array => {
    const copy = new Uint8Array(bytes);
    for (let count = below(4); count > 0; count -= 1) copy[below(copy.length)] = below(256);
    return below(8) === 0 ? copy.subarray(0, below(copy.length + 1)) : copy;
  };
  const frame = (): Uint8Array => {
    const code = below(10) === 0 ? below(256) : (codes[below(codes.length)] ?? 0);
    const payload = good[below(good.length)] ?? new Uint8Array(0);
    const whole = encodeFrame({ type: code, channel: below(4), id: below(3), payload });
    return below(3) === 0 ? mutated(whole) : whole;
  };

  while (frames < 100_000) {
    const guest = new ScriptedOpener();
    const session = new FakeSession({ id: 'x' } as FakeSession['record'], guest);
    const socket = new CountingSocket();
    const clock = new ManualClock();
    const access = {
      scopes: new Set(['exec', 'files', 'ports'] as const),
      expiresInMs: 900_000,
      renew: () => ({ token: 'a.b.c', expiresInMs: 900_000 }),
    };
    const deps = { clock, observer: silentObserver, log: new SilentLog(), access, pingMs: 15_000 };
    const native = new NativeSession(socket, session, deps);
    for (let count = 0; count < 200 && socket.closedWith === null; count += 1) {
      native.onMessage(frame(), below(500) !== 0);
      frames += 1;
      // Now and then the guest answers, or ends something.
      const channel = guest.channels[below(guest.channels.length + 1)];
      if (channel && !channel.isClosed && !channel.hasEnded) {
        if (below(2) === 0) channel.ack(map({ pid: 1, process: 1 }));
        else channel.emit(type.End.code, map({}));
      }
      if (below(10) === 0) await Promise.resolve();
    }
    await Promise.resolve();
    ends.set(socket.closedWith ?? 0, (ends.get(socket.closedWith ?? 0) ?? 0) + 1);
    native.onClose();
    assert.equal(clock.timers, 0, `a timer outlives its session (seed ${seed})`);
    assert.ok(session.closed);
    const left = guest.channels.filter((channel) => !channel.isClosed && !channel.hasEnded);
    assert.equal(left.length, 0, `${left.length} channels are open behind a closed socket (seed ${seed})`);
    if (before === 0 && frames > 10_000) before = liveMemoryBytes();
  }
  const grownBytes = liveMemoryBytes() - before;
  assert.ok(grownBytes < 2_000_000, `${grownBytes} bytes more after 90,000 frames (seed ${seed})`);
  assert.ok((ends.get(4400) ?? 0) > 100, 'many of them were wrong enough to close');
  assert.deepEqual(
    [...ends.keys()].filter((code) => ![0, 1003, 4400].includes(code)),
    [],
    `seed ${seed}`,
  );
});

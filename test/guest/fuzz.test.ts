import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { buildSanitizedGuest } from '../../guest/build-test.mjs';
import { encodeCredit } from '../../protocol/control-messages.ts';
import {
  encodeExecAttach,
  encodeExecResize,
  encodeExecSignal,
  encodeExecStart,
} from '../../protocol/exec-messages.ts';
import { linkTrailer, resyncPaddingBytes } from '../../protocol/link-framing.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encodePortConnect } from '../../protocol/port-messages.ts';
import { encodeHello } from '../../protocol/session-messages.ts';
import { parsed } from '../support/parsed.ts';
import { firstNonce, GuestDriver, linkFrame } from './guest-driver.ts';

/** Enough to reach every message in every state; the C fuzzers look at the parsers for much longer. */
const frameCount = 6_000;

test('R5 the agent survives a stream of valid, mutated and random frames and answers afterwards', async (context) => {
  const seed = randomInt(2 ** 31);
  context.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const env = { ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1', UBSAN_OPTIONS: 'halt_on_error=1' };
  const guest = new GuestDriver({ binary: buildSanitizedGuest(), env });
  try {
    for (let sent = 0; sent < frameCount; sent += 1) {
      guest.sendBytes(random(40) === 0 ? exactFrame(random) : mutated(randomFrame(random), random));
      if (sent % 100 === 0) await new Promise(setImmediate);
    }
    guest.sendBytes(new Uint8Array(resyncPaddingBytes));
    await guest.hello(new Uint8Array(16).fill(0xee));
    const { stdout } = await guest.run(['echo', 'well']);
    assert.equal(stdout.toString(), 'well\n');
    guest.input.end();
    assert.equal(await guest.ended(), 0);
  } finally {
    guest.process.kill('SIGKILL');
  }
});

function randomFrame(random: (below: number) => number): Uint8Array {
  const channel = random(6);
  const id = random(1000);
  // Nothing is on this PATH, so that no mutation can name a command of this machine.
  const command = {
    argv: ['./warmpool-nothing', 'x'],
    env: { PATH: '/nonexistent', N: '1' },
    cwd: '/proc',
    user: '',
    stdin: random(2) === 0,
    timeoutMs: random(50),
    ...(random(4) === 0 && { tty: { cols: 1 + random(300), rows: 1 + random(300) }, stdin: true }),
    ...(random(4) === 0 && { detach: true, replay: random(200_000) }),
    ...(random(4) === 0 && { window: 1 + random(100_000) }),
  };
  const question = () => Uint8Array.of(0x80);
  const payloads: readonly [keyof typeof messageTypes, () => Uint8Array][] = [
    ['Hello', () => encodeHello({ nonce: firstNonce, window: 1 + random(100_000) })],
    ['Ping', () => new Uint8Array(random(70))],
    ['ExecStart', () => parsed(encodeExecStart(command))],
    ['Input', () => new Uint8Array(random(65_537))],
    ['InputEof', () => new Uint8Array(0)],
    ['ExecSignal', () => encodeExecSignal(1 + random(64))],
    ['Credit', () => encodeCredit(random(2 ** 31))],
    ['ExecResize', () => encodeExecResize({ cols: 1 + random(10_000), rows: 1 + random(10_000) })],
    ['ExecAttach', () => encodeExecAttach({ process: 1 + random(20), offset: random(100) })],
    ['ChannelClose', () => new Uint8Array(0)],
    ['ExecList', question],
    ['PortList', question],
    ['PortWatch', question],
    // It looks at every process of this machine here, so only now and then.
    [random(20) === 0 ? 'Stats' : 'ExecList', question],
  ];
  const choice = payloads[random(payloads.length)];
  assert.ok(choice !== undefined);
  const [name, payload] = choice;
  const type = random(10) === 0 ? random(256) : messageTypes[name].code;
  const isControl = ['Hello', 'Ping', 'ExecList', 'PortList', 'Stats'].includes(name);
  return linkFrame(type, isControl ? 0 : channel, id, payload());
}

/** Frames with an effect on more than the agent, which are sent as they are: a process that runs, a connection. */
function exactFrame(random: (below: number) => number): Uint8Array {
  const channel = 1 + random(5);
  if (random(3) === 0)
    return linkFrame(messageTypes.PortConnect.code, channel, 1, encodePortConnect({ port: 1 }));
  const command = {
    argv: ['cat'],
    env: { PATH: '/usr/bin:/bin' },
    cwd: '/',
    user: '',
    stdin: true,
    timeoutMs: random(1000),
    ...(random(2) === 0 && { tty: { cols: 80, rows: 24 } }),
    ...(random(2) === 0 && { detach: true, replay: random(100_000) }),
  };
  return linkFrame(messageTypes.ExecStart.code, channel, 1, parsed(encodeExecStart(command)));
}

function mutated(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  if (random(2) === 0) return bytes;
  const changed = Uint8Array.from(bytes);
  for (let changes = 1 + random(4); changes > 0; changes -= 1) {
    // Mostly behind the header, where the decoders are.
    const at = random(4) === 0 ? random(changed.length) : Math.min(17 + random(60), changed.length - 1);
    changed[at] = random(256);
  }
  const keepsTrailer = random(8) !== 0;
  if (keepsTrailer) new DataView(changed.buffer).setUint32(changed.length - 4, linkTrailer);
  return random(20) === 0 ? changed.subarray(0, random(changed.length)) : changed;
}

/** Numbers below a bound, the same for the same seed (mulberry32). */
function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { resyncPaddingBytes } from '../../protocol/link-framing.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { parseHello } from '../../protocol/session-messages.ts';
import { GuestLink } from '../../src/guest-link/guest-link.ts';
import { ManualClock } from './manual-clock.ts';
import { encodeAll, ScriptedGuest, welcomeFrame } from './scripted-guest.ts';
import { command, discard, unreachable } from './scripted-link.ts';

const { Output, Hello, Ping } = messageTypes;

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
    guest.send({ type: Output.code, channel: 9, payload: Buffer.from('stale') });
    guest.send(welcomeFrame({ nonce: Buffer.alloc(16, 7) }));
    guest.send({ type: Output.code, channel: 9, payload: Buffer.from('stale') });
    const welcome = encodeAll([welcomeFrame({ nonce: parsed.value.nonce })]);
    guest.sendBytes(welcome.subarray(0, 20));
    guest.sendBytes(welcome.subarray(20));
    const link = await opening;
    const started = link.spawn(command(), discard);
    await guest.acknowledge();
    assert.equal((await started).pid, 100);
    link.close();
  });

  it('says what input window the Welcome had, up to what is meant to wait here', async () => {
    for (const [window, taken] of [
      [65_536, 65_536],
      [1_048_576, 262_144],
    ] as const) {
      const guest = new ScriptedGuest();
      const opening = GuestLink.open(guest.transport, {
        clock: new ManualClock(),
        resync: false,
        openTimeoutMs: 1_000,
      });
      const parsed = parseHello((await guest.next(Hello.code)).payload);
      assert.ok('value' in parsed);
      guest.send(welcomeFrame({ nonce: parsed.value.nonce, window }));
      const link = await opening;
      assert.equal(link.inputWindowBytes, taken);
      link.close();
    }
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

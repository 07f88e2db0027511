import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { buildGuest } from '../../guest/build.mjs';
import { parseError } from '../../protocol/control-messages.ts';
import { encodeExecStart, terminalSizeDefault } from '../../protocol/exec-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { linkHeaderOffset, linkTrailerBytes } from '../../protocol/link-framing.ts';
import { isTerminal, messageName, messageRule, messageTypes } from '../../protocol/message-types.ts';
import { GuestDriver, linkFrame } from '../guest/guest-driver.ts';
import { fuzzSeed, Random } from '../guest-link/random.ts';
import { requirement } from '../support/requirements.ts';
import { bytesOf, framesOf, must, readLinkVectors } from './vectors.ts';

/**
 * The same golden vectors, read by the agent's own decoder. It runs below a root that nothing can be written to, because
 * the valid ones are obeyed.
 */
const { valid, invalid } = readLinkVectors();
const mutantsPerVector = 20;
const { Ack, ChannelClose, Error: Refusal, Hello } = messageTypes;
const misunderstood = ['unknown_message', 'invalid_payload'];
/** Of a path that no file has: the agent names what is wrong with it. */
const refusals = [...misunderstood, 'name_invalid'];
/** What the agent drops or reads as if it were right; its node never sends it, and nothing is gained by a refusal. */
const taken = new Set([
  'a start without stdin',
  'an end of stdin with a payload',
  'a close with a payload',
  'a close of channel 0',
  'input on channel 0',
]);

describe('the agent on the golden vectors', await requirement('bubblewrap'), () => {
  let guest: GuestDriver;
  let lastChannel = 1_000;

  before(async () => {
    const sealed = ['--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '--tmpfs', '/tmp'];
    // The checkout may itself lie below /tmp.
    const agent = ['--ro-bind', buildGuest().path, '/tmp/guest'];
    const args = [...sealed, ...agent, '--unshare-pid', '--die-with-parent', '--', '/tmp/guest'];
    guest = await GuestDriver.start({ binary: 'bwrap', args });
  });

  after(async () => {
    guest.input.end();
    await guest.ended();
  });

  for (const vector of valid) {
    if (vector.sender !== 'requester' || vector.type === Hello.code) continue;
    const rule = messageRule(vector.type);
    if (rule === undefined) continue;

    it(`understands ${vector.name}`, async () => {
      if (rule.channel === 'new') return assertUnderstood(await opened(vector.type, bytesOf(vector.payload)));
      if (rule.channel === 'control') {
        const id = vector.id + 500_000;
        guest.sendBytes(linkFrame(vector.type, 0, id, bytesOf(vector.payload)));
        const answer = await guest.next((frame) => frame.channel === 0 && frame.id === id);
        return assertUnderstood(answer);
      }
      const cat = guest.begin(['cat'], { stdin: true });
      await guest.until(() => (cat.pid ?? 0) > 0, 'the start');
      guest.sendBytes(linkFrame(vector.type, cat.channel, 0, bytesOf(vector.payload)));
      await guest.roundTrip();
      for (const { code } of cat.errors) assert.ok(!misunderstood.includes(code), code);
      if (cat.exit === undefined) cat.signal(9);
    });
  }

  for (const vector of invalid) {
    if (vector.sender !== 'requester' || vector.broken === 'framing' || taken.has(vector.name)) continue;
    const [frame] = framesOf('link', bytesOf(vector.hex)).frames;
    assert.ok(frame !== undefined);

    it(`refuses ${vector.name}`, async () => {
      const { code } = must(parseError((await refused(frame)).payload));
      assert.ok(refusals.includes(code), code);
    });
  }

  it('refuses every message that only a responder sends', async () => {
    for (const vector of valid) {
      if (messageRule(vector.type)?.from !== 'responder') continue;
      const [frame] = framesOf('link', bytesOf(vector.hex)).frames;
      assert.ok(frame !== undefined);
      const { code } = must(parseError((await refused(frame)).payload));
      assert.equal(code, 'unknown_message', vector.name);
    }
  });

  it('R5 survives every vector with a flipped bit, and answers afterwards', async (t) => {
    const seed = fuzzSeed();
    t.diagnostic(`FUZZ_SEED=${seed}`);
    const random = new Random(seed);
    const requests = valid.filter(({ sender, type }) => sender === 'requester' && type !== Hello.code);
    for (const vector of requests) {
      const original = bytesOf(vector.hex);
      for (let mutants = 0; mutants < mutantsPerVector; mutants += 1) {
        const mutant = original.slice();
        const index = linkHeaderOffset + random.below(original.length - linkHeaderOffset - linkTrailerBytes);
        mutant[index] = (mutant[index] ?? 0) ^ (1 << random.below(8));
        guest.sendBytes(mutant);
      }
      guest.send('Ping', 0, Buffer.from(vector.name.slice(0, 64)), 77);
      await guest.next(({ type, id }) => type === messageTypes.Pong.code && id === 77);
    }
    await guest.hello(new Uint8Array(16).fill(0xab));
    await guest.roundTrip();
  });

  function assertUnderstood(answer: Frame): void {
    if (answer.type !== Refusal.code) return;
    const { code, message } = must(parseError(answer.payload));
    assert.ok(!misunderstood.includes(code), `${messageName(answer.type)} ${code}: ${message}`);
  }

  /** The answer to a request on a channel of its own, which is closed again. */
  async function opened(type: number, payload: Uint8Array): Promise<Frame> {
    lastChannel += 1;
    const channel = lastChannel;
    guest.sendBytes(linkFrame(type, channel, channel, payload));
    const answer = await guest.next((frame) => frame.channel === channel);
    assert.equal(answer.id, channel);
    if (answer.type !== Ack.code) return answer;
    guest.send('ChannelClose', channel);
    await guest.next((frame) => frame.channel === channel && isTerminal(frame.type));
    return answer;
  }

  /** The Error that a frame is answered with, sent on the channel of a process where it belongs on an open one. */
  async function refused(frame: Frame): Promise<Frame> {
    lastChannel += 1;
    const id = lastChannel;
    const rule = messageRule(frame.type);
    const needsOpen = rule?.channel === 'open' && rule.from !== 'responder' && frame.channel !== 0;
    const channel = needsOpen ? await openedCat() : frame.channel === 0 ? 0 : id;
    guest.sendBytes(linkFrame(frame.type, channel, id, frame.payload));
    const answer = await guest.next((given) => given.id === id && given.channel === channel);
    assert.equal(answer.type, Refusal.code, messageName(answer.type));
    if (needsOpen) {
      guest.send('ChannelClose', channel);
      await guest.next((given) => given.channel === channel && given.type === ChannelClose.code);
    }
    return answer;
  }

  /** Not the driver's own kind of execution: it would take the Error for itself. */
  async function openedCat(): Promise<number> {
    lastChannel += 1;
    const channel = lastChannel;
    const payload = must(
      encodeExecStart({
        argv: ['/bin/cat'],
        env: {},
        cwd: '',
        user: '',
        stdin: true,
        tty: terminalSizeDefault,
      }),
    );
    guest.sendBytes(linkFrame(messageTypes.ExecStart.code, channel, channel, payload));
    const answer = await guest.next((frame) => frame.channel === channel);
    assert.equal(answer.type, Ack.code, messageName(answer.type));
    return channel;
  }
});

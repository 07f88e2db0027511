import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ChannelReceiver } from '../../protocol/channel-opener.ts';
import { decodeControlMap } from '../../protocol/control-map.ts';
import { encodeCredit, encodeError } from '../../protocol/control-messages.ts';
import { encodeExecStarted } from '../../protocol/exec-messages.ts';
import {
  encodeFileEntry,
  encodeTransferEnd,
  parseFileEntry,
  parseWatchRecord,
} from '../../protocol/file-answers.ts';
import { type Frame, parseFrame, viewOf } from '../../protocol/frame.ts';
import { LinkDecoder } from '../../protocol/link-decoder.ts';
import { linkOverheadBytes, writeLinkFrame } from '../../protocol/link-framing.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { isTerminal, messageTypes } from '../../protocol/message-types.ts';
import { encodePortList, parsePortRecord } from '../../protocol/port-messages.ts';
import { RecordReader } from '../../protocol/record-reader.ts';
import { WelcomeSearch } from '../../protocol/welcome-search.ts';
import {
  bytesOf,
  type LinkVectors,
  meaningOf,
  must,
  readLinkVectors,
  readSocketVectors,
  type SocketVectors,
} from '../protocol/vectors.ts';
import { liveMemoryBytes } from './live-memory.ts';
import { fuzzSeed, Random } from './random.ts';
import { encodeAll, exitFrame, openScripted, type SentFrame, welcomeFrame } from './scripted-guest.ts';

/** Each test stops at whichever comes first, so that a busy machine runs fewer rounds rather than longer. */
const budgetMs = Number(process.env.FUZZ_BUDGET_MS ?? 1_200);
const scale = Math.max(1, budgetMs / 1_200);
const linkRounds = 3_000 * scale;
const decoderFrames = 100_000 * scale;
const mapRounds = 100_000 * scale;

const { Ack, ChannelClose, Credit, End, Error: Refusal, ErrorOutput, FileRead, FileStat } = messageTypes;
const { FileWrite, Output, OutputEof, Ping, Pong, PortConnect } = messageTypes;
const corpus = { ...corpusOf(readLinkVectors()), messages: messagesOf(readSocketVectors()) };

describe('T27 random and mutated frames', () => {
  it('I12 come out of the decoder as they went in, however the stream is split', (t) => {
    const random = seeded(t);
    let frames = 0;
    for (const end = deadline(); frames < decoderFrames && performance.now() < end(); ) {
      const sent = Array.from({ length: 1 + random.below(20) }, () => randomFrame(random));
      const received: Frame[] = [];
      const decoder = new LinkDecoder();
      pushInPieces(random, streamOf(sent), (piece) => decoder.push(piece, (frame) => received.push(frame)));
      assert.equal(decoder.end, null);
      assert.equal(received.length, sent.length);
      for (const [index, frame] of sent.entries()) assert.ok(sameFrame(frame, received[index]));
      frames += sent.length;
    }
    t.diagnostic(`${frames} frames`);
  });

  it('give frames or an end, never an exception, from decoder and search', (t) => {
    const random = seeded(t);
    let frames = 0;
    let streams = 0;
    for (const end = deadline(); frames < decoderFrames && performance.now() < end(); streams += 1) {
      const stream = mutatedStream(random);
      const decoder = new LinkDecoder();
      const search = new WelcomeSearch(random.bytes(16));
      pushInPieces(random, stream, (piece) => {
        decoder.push(piece, (frame) => {
          frames += 1;
          meaningOf(frame, {
            sender: random.pick(['requester', 'responder'] as const),
            wire: random.pick(['link', 'socket'] as const),
            answers: random.below(0x90),
          });
        });
        assert.equal(search.push(piece), null);
      });
    }
    t.diagnostic(`${streams} streams, ${frames} whole frames`);
  });

  it('A10 as control payloads give a map or an error, never an exception, and nobody gets a new prototype', (t) => {
    const random = seeded(t);
    let accepted = 0;
    let rounds = 0;
    for (const end = deadline(); rounds < mapRounds && performance.now() < end(); rounds += 1) {
      const bytes =
        random.below(4) === 0 ? random.bytes(random.below(40)) : mutated(random, random.pick(corpus.maps));
      const result = decodeControlMap(bytes);
      if ('error' in result) continue;
      accepted += 1;
      assert.equal(Object.getPrototypeOf(result.value), Object.prototype);
    }
    t.diagnostic(`${rounds} payloads, ${accepted} accepted`);
  });

  it('A10 as messages of the socket mean something or nothing, never an exception, and records too', (t) => {
    const random = seeded(t);
    let meant = 0;
    let rounds = 0;
    for (const end = deadline(); rounds < mapRounds && performance.now() < end(); rounds += 1) {
      const { type, answers, bytes } = random.pick(corpus.messages);
      const message = mutated(random, bytes);
      if (random.below(2) === 0) message[0] = type;
      const frame = parseFrame(message);
      if ('error' in frame) continue;
      const sender = random.pick(['requester', 'responder'] as const);
      const meaning = meaningOf(frame.value, { sender, wire: 'socket', answers });
      meant += 'value' in meaning ? 1 : 0;
      const reader = new RecordReader<unknown>(
        random.pick([parseFileEntry, parseWatchRecord, parsePortRecord]),
      );
      pushInPieces(random, message.subarray(random.below(20)), (piece) => reader.push(piece));
    }
    t.diagnostic(`${rounds} messages, ${meant} with a meaning`);
  });

  it('G2 leave a link open or closed with a reason, and nothing pending', async (t) => {
    const random = seeded(t);
    let closed = 0;
    let rounds = 0;
    const liveBytes: number[] = [];
    for (const end = deadline(); rounds < linkRounds && performance.now() < end(); rounds += 1) {
      if (rounds % 200 === 100) liveBytes.push(liveMemoryBytes());
      const { link, outcomes, receivers } = await attackedLink(random);
      closed += (await Promise.race([link.closed, undefined])) === undefined ? 0 : 1;
      link.close();
      assert.match(await link.closed, /./);
      for (const receiver of receivers) receiver.assertWhole();
      for (const outcome of await outcomes) {
        if (outcome.status === 'fulfilled') continue;
        assert.equal(typeof outcome.reason.code, 'string', String(outcome.reason));
      }
    }
    t.diagnostic(`${rounds} links, ${closed} closed by the guest's frames`);
    const [first = 0] = liveBytes;
    const last = liveBytes.at(-1) ?? first;
    assert.ok(last - first < 8_388_608, `I14 memory grew from ${first} to ${last} bytes`);
  });
});

/** Sees that a channel is told its Ack first and its end once, in whatever order a guest says things. */
class WholeReceiver implements ChannelReceiver {
  readonly #heard: string[] = [];

  onFrame({ type }: Frame): void {
    this.#heard.push(isTerminal(type) ? 'end' : type === messageTypes.Ack.code ? 'Ack' : 'more');
  }

  onLost(): void {
    this.#heard.push('end');
  }

  assertWhole(): void {
    assert.match(this.#heard.join(' '), /^(Ack (more )*)?end$/);
  }
}

/** A link with channels opening and open, fed with frames that are partly right. */
async function attackedLink(random: Random) {
  const { guest, link } = await openScripted({ window: 5_000 }, { window: 5_000 });
  const pending: Promise<unknown>[] = [link.ping(1_000)];
  for (let index = 0; index < 3; index += 1) {
    const started = link.spawn(
      { argv: ['x'], env: {}, cwd: '', user: '', stdin: true, timeoutMs: 0 },
      { onOutput: () => {} },
    );
    pending.push(
      started.then((process) => {
        process.release(0);
        return Promise.all([process.writeStdin(random.bytes(100)), process.exited]);
      }),
    );
  }
  const receivers = [FileRead, FileWrite, FileStat, PortConnect].map(({ code }) => {
    const receiver = new WholeReceiver();
    const channel = link.open(code, emptyMap, receiver);
    if (random.below(4) === 0) channel.close();
    return receiver;
  });
  pending.push(link.request(messageTypes.PortList.code, emptyMap));
  const outcomes = Promise.allSettled(pending);
  await nextTurn();
  const frames = Array.from({ length: 1 + random.below(12) }, () => plausibleFrame(random));
  const bytes = encodeAll(frames);
  const attack = random.below(3) === 0 ? mutated(random, bytes) : bytes;
  pushInPieces(random, attack, (piece) => {
    if (!guest.transport.destroyed) guest.sendBytes(Buffer.from(piece));
  });
  await nextTurn();
  return { link, outcomes, receivers };
}

function plausibleFrame(random: Random): SentFrame {
  const channel = 1 + random.below(random.below(10) === 0 ? 9 : 7);
  const file = { name: 'a', kind: 'file', size: 1, mode: 0, mtimeMs: 0, uid: 0, gid: 0 } as const;
  return random.pick<() => SentFrame>([
    () => ({
      type: Ack.code,
      channel,
      id: channel,
      payload: encodeExecStarted({ pid: 1 + random.below(99), process: 1 }),
    }),
    () => ({
      type: Ack.code,
      channel,
      id: channel,
      payload: encodeExecStarted({ pid: 1 + random.below(99), process: 1 }),
    }),
    () => ({
      type: Refusal.code,
      channel,
      id: channel,
      payload: encodeError({ code: 'spawn_failed', message: '' }),
    }),
    () => ({ type: Ack.code, channel: 4, id: 4, payload: must(encodeFileEntry(file)) }),
    () => ({ type: Ack.code, channel: 5, id: 5, payload: emptyMap }),
    () => ({ type: End.code, channel: 6, id: 6, payload: must(encodeFileEntry(file)) }),
    () => ({ type: Ack.code, channel: 7, id: 7, payload: emptyMap }),
    () => ({ type: Ack.code, id: 1, payload: encodePortList([1, 2]) }),
    () => ({ type: End.code, channel, payload: encodeTransferEnd({ bytes: 1 }) }),
    () => ({ type: OutputEof.code, channel }),
    () => ({ type: ChannelClose.code, channel }),
    () => ({ type: Output.code, channel, payload: random.bytes(random.below(2_000)) }),
    () => ({ type: ErrorOutput.code, channel, payload: random.bytes(random.below(200)) }),
    () => ({ type: Credit.code, channel, payload: encodeCredit(random.below(2) * random.below(200)) }),
    () => ({ type: Ping.code, id: random.below(9), payload: random.bytes(random.below(64)) }),
    () => ({ type: Pong.code, id: random.below(3), payload: random.bytes(8) }),
    () => exitFrame(channel, random.below(256)),
    () => welcomeFrame({ nonce: random.bytes(16) }),
    () => ({ ...randomFrame(random), type: random.below(0x70) }),
  ])();
}

function randomFrame(random: Random): Frame {
  const small = random.below(8) !== 0;
  return {
    type: random.below(256),
    channel: random.below(0xffff_ffff),
    id: random.below(0xffff_ffff),
    payload: random.bytes(random.below(small ? 60 : 4_000)),
  };
}

function mutatedStream(random: Random): Uint8Array {
  const parts = Array.from({ length: 1 + random.below(6) }, () => random.pick(corpus.frames));
  const stream = Buffer.concat(parts);
  return random.below(3) === 0 ? stream : mutated(random, stream);
}

/** A few bytes flipped, cut out, put in or repeated. */
function mutated(random: Random, original: Uint8Array): Uint8Array {
  let bytes = Buffer.from(original);
  for (let times = 1 + random.below(3); times > 0; times -= 1) {
    const at = random.below(bytes.length + 1);
    const length = random.below(6);
    const [front, back] = [bytes.subarray(0, at), bytes.subarray(at)];
    bytes = random.pick([
      () => Buffer.concat([front, random.bytes(Math.min(length, back.length)), back.subarray(length)]),
      () => Buffer.concat([front, back.subarray(length)]),
      () => Buffer.concat([front, random.bytes(length), back]),
      () => Buffer.concat([front, back.subarray(0, length), back]),
      () => Buffer.concat([front, Buffer.from([random.pick(interestingBytes)]), back.subarray(1)]),
    ])();
  }
  return bytes;
}

/** The first bytes of every msgpack form that claims a size, and the extremes. */
const interestingBytes = [0x00, 0x7f, 0x80, 0x8f, 0x91, 0xc0, 0xc1, 0xc6, 0xc7, 0xd4, 0xdb, 0xdd, 0xdf, 0xff];

function pushInPieces(random: Random, stream: Uint8Array, push: (piece: Uint8Array) => void): void {
  for (let offset = 0; offset < stream.length; ) {
    const end = offset + 1 + random.below(random.pick([3, 40, 5_000]));
    push(stream.subarray(offset, end));
    offset = end;
  }
}

function streamOf(frames: readonly Frame[]): Uint8Array {
  const bytes = new Uint8Array(
    frames.reduce((sum, { payload }) => sum + payload.length + linkOverheadBytes, 0),
  );
  let offset = 0;
  for (const frame of frames) offset = writeLinkFrame(bytes, viewOf(bytes), offset, frame);
  return bytes;
}

function sameFrame(sent: Frame, received: Frame | undefined): boolean {
  return (
    received !== undefined &&
    sent.type === received.type &&
    sent.channel === received.channel &&
    sent.id === received.id &&
    Buffer.compare(sent.payload, received.payload) === 0
  );
}

function corpusOf(vectors: LinkVectors): { frames: Uint8Array[]; maps: Uint8Array[] } {
  const small = (bytes: Uint8Array) => bytes.length <= 2_000;
  const maps = [
    ...vectors.maps.map(({ hex }) => bytesOf(hex)),
    ...vectors.valid.filter(({ message }) => message !== undefined).map(({ payload }) => bytesOf(payload)),
  ];
  const frames = [...vectors.valid, ...vectors.invalid].map(({ hex }) => bytesOf(hex));
  return { frames: frames.filter(small), maps: maps.filter(small) };
}

function messagesOf({ valid }: SocketVectors) {
  return valid
    .map(({ type, answers, hex }) => ({ type, answers, bytes: bytesOf(hex) }))
    .filter(({ bytes }) => bytes.length <= 2_000);
}

function seeded(t: { diagnostic: (message: string) => void }): Random {
  const seed = fuzzSeed();
  t.diagnostic(`FUZZ_SEED=${seed}`);
  return new Random(seed);
}

function deadline(): () => number {
  const end = performance.now() + budgetMs;
  return () => end;
}

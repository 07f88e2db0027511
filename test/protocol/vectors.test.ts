import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeControlMap } from '../../protocol/control-map.ts';
import { encodeExecStart } from '../../protocol/exec-messages.ts';
import { encodeFrame, type Frame, viewOf } from '../../protocol/frame.ts';
import { linkHeaderBytes, linkHeaderOffset, writeLinkFrame } from '../../protocol/link-framing.ts';
import { messageNames, messageTypes, type Wire } from '../../protocol/message-types.ts';
import { WelcomeSearch } from '../../protocol/welcome-search.ts';
import { rewritten } from './encoders.ts';
import {
  bytesOf,
  framesOf,
  type InvalidVector,
  inWords,
  meaningOf,
  must,
  readLinkVectors,
  readSocketVectors,
  type ValidVector,
  wordsOf,
} from './vectors.ts';

const link = readLinkVectors();
const socket = readSocketVectors();

describe('golden vectors of the guest link', () => {
  proveVectors('link', link.valid, link.invalid);

  for (const vector of link.maps) {
    it(`A10 ${vector.accepted ? 'accepts' : 'refuses'} a control payload: ${vector.name}`, () => {
      const result = decodeControlMap(bytesOf(vector.hex));
      assert.equal('value' in result, vector.accepted, JSON.stringify(result).slice(0, 200));
    });
  }

  for (const vector of link.resync) {
    it(`finds ${vector.rest === null ? 'no' : 'the'} welcome in: ${vector.name}`, () => {
      const bytes = bytesOf(vector.hex);
      for (const size of [1, 2, 7, 64, bytes.length]) {
        assert.equal(restBehindWelcome(bytesOf(vector.nonce), bytes, size), vector.rest, `chunks of ${size}`);
      }
    });
  }
});

describe('golden vectors of the socket', () => {
  proveVectors('socket', socket.valid, socket.invalid);
});

it('every type and every example of section 11 has its vectors', () => {
  const seen = new Set([...link.valid, ...socket.valid].map(({ type }) => type));
  for (const name of messageNames()) assert.ok(seen.has(messageTypes[name].code), name);
  const examples = [
    '010000000000000007',
    '62000000050000000000001000',
    '630000000500000000',
    '110000000500000000',
    '26000000060000000082a4636f6c7378a4726f777328',
    '82000000090000000081a4706f7274cd0bb8',
  ];
  const frames = new Set(socket.valid.map(({ hex }) => hex));
  for (const example of examples) assert.ok(frames.has(example), example);
});

describe('encoding a start', () => {
  const start = { argv: ['true'], env: {}, cwd: '', user: '', stdin: false, timeoutMs: 0 };

  it('refuses what does not fit a frame', () => {
    assert.ok('error' in encodeExecStart({ ...start, argv: ['x'.repeat(65_537)] }));
    assert.ok('value' in encodeExecStart({ ...start, argv: ['x'.repeat(60_000)] }));
  });

  it('refuses half a surrogate pair, which UTF-8 cannot say, and the key __proto__', () => {
    assert.ok('error' in encodeExecStart({ ...start, env: { A: '\ud83d' } }));
    assert.ok('error' in encodeExecStart({ ...start, env: { '\ud83d': 'A' } }));
    assert.ok('value' in encodeExecStart({ ...start, env: { A: '\ud83d\ude00' } }));
    assert.ok('error' in encodeExecStart({ ...start, env: JSON.parse('{"__proto__": "A"}') }));
  });
});

function proveVectors(wire: Wire, valid: readonly ValidVector[], invalid: readonly InvalidVector[]): void {
  for (const vector of valid) {
    it(`decodes ${vector.name}`, () => {
      const frame = onlyFrame(wire, bytesOf(vector.hex));
      const { type, channel, id } = frame;
      assert.deepEqual({ type, channel, id }, { type: vector.type, channel: vector.channel, id: vector.id });
      assert.equal(Buffer.compare(frame.payload, bytesOf(vector.payload)), 0);
      must(meaningOf(frame, { ...vector, wire }));
      if (vector.message === undefined || saysMore(vector.name)) return;
      assert.deepEqual(wordsOf(frame), vector.message);
    });

    it(`encodes ${vector.name} to the same`, () => {
      const { type, channel, id } = vector;
      const given = bytesOf(vector.payload);
      const payload = rewritten(vector, wire, given) ?? given;
      if (!saysMore(vector.name) && !saysLess(vector.name)) {
        assert.equal(payload.length, given.length);
        if (vector.message !== undefined && payload !== given && type !== messageTypes.Credit.code) {
          assert.deepEqual(inWords(must(decodeControlMap(payload))), vector.message);
        }
      }
      const written = wrapped(wire, { type, channel, id, payload: given });
      assert.equal(Buffer.compare(written, bytesOf(vector.hex)), 0);
    });
  }

  for (const vector of invalid) {
    it(`refuses ${vector.name} (${vector.broken})`, () => {
      const { frames, end } = framesOf(wire, bytesOf(vector.hex));
      if (vector.broken === 'framing' || vector.broken === 'frame') return assert.notEqual(end, null);
      assert.equal(end, null);
      assert.equal(frames.length, 1);
      const meaning = meaningOf(frames[0] ?? assert.fail('no frame'), { ...vector, wire });
      assert.ok('error' in meaning);
    });
  }

  it(`lets no flipped bit pass unnoticed on the ${wire}`, () => {
    for (const vector of valid) {
      const original = bytesOf(vector.hex);
      if (original.length > 4_096) continue;
      const meaning = meaningOf(onlyFrame(wire, original), { ...vector, wire });
      for (let bit = 0; bit < original.length * 8; bit += 1) {
        const index = bit >>> 3;
        const mutant = original.slice();
        mutant[index] = (mutant[index] ?? 0) ^ (1 << (bit & 7));
        const where = `${vector.name}, bit ${bit & 7} of byte ${index}`;
        if (wire === 'link') assertWrapped(mutant, original, index, where);
        // A later version's keys are ignored, so a change of one may mean the same.
        if (saysMore(vector.name)) continue;
        const [frame] = framesOf(wire, mutant).frames;
        if (frame !== undefined) assert.notDeepEqual(meaningOf(frame, { ...vector, wire }), meaning, where);
      }
    }
  });
}

/** It has a key that is ignored. */
function saysMore(name: string): boolean {
  return name.includes('later version');
}

/** It leaves to the default what the codec writes down. */
function saysLess(name: string): boolean {
  return name.includes('usual size');
}

/** A bit of magic, length or trailer is noticed by what follows at the latest. */
function assertWrapped(mutant: Uint8Array, original: Uint8Array, index: number, where: string): void {
  if (index >= linkHeaderOffset && index < original.length - 4) return;
  const { frames, end } = framesOf('link', Buffer.concat([mutant, original]));
  assert.ok(end !== null || frames.length < 2, where);
}

function wrapped(wire: Wire, frame: Frame): Uint8Array {
  if (wire === 'socket') return encodeFrame(frame);
  const written = new Uint8Array(linkHeaderBytes + frame.payload.length + 4);
  writeLinkFrame(written, viewOf(written), 0, frame);
  return written;
}

function onlyFrame(wire: Wire, bytes: Uint8Array): Frame {
  const { frames, end } = framesOf(wire, bytes);
  assert.equal(end, null);
  assert.equal(frames.length, 1);
  return frames[0] ?? assert.fail('no frame');
}

function restBehindWelcome(nonce: Uint8Array, bytes: Uint8Array, size: number): string | null {
  const search = new WelcomeSearch(nonce);
  for (let offset = 0; offset < bytes.length; offset += size) {
    const found = search.push(bytes.subarray(offset, offset + size));
    if (found === null) continue;
    return Buffer.concat([found.rest, bytes.subarray(offset + size)]).toString('hex');
  }
  return null;
}

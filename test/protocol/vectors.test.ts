import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeControlMap } from '../../protocol/control-map.ts';
import { encodeCredit, encodeError, parseCredit, parseError } from '../../protocol/control-messages.ts';
import {
  encodeExecExit,
  encodeExecSignal,
  encodeExecStart,
  encodeExecStarted,
  parseExecExit,
  parseExecSignal,
  parseExecStart,
  parseExecStarted,
} from '../../protocol/exec-messages.ts';
import { type Frame, viewOf } from '../../protocol/frame.ts';
import { LinkDecoder } from '../../protocol/link-decoder.ts';
import { linkHeaderBytes, linkHeaderOffset, writeLinkFrame } from '../../protocol/link-framing.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { encodeHello, encodeWelcome, parseHello, parseWelcome } from '../../protocol/session-messages.ts';
import { WelcomeSearch } from '../../protocol/welcome-search.ts';
import { bytesOf, meaningOf, readVectors } from './vectors.ts';

const vectors = readVectors();

describe('golden vectors of the guest link', () => {
  for (const vector of vectors.valid) {
    it(`decodes ${vector.name}`, () => {
      const frame = onlyFrame(bytesOf(vector.hex));
      const { type, channel, id, message } = vector;
      const meaning = meaningOf(frame, vector.sender);
      const payload = message ?? Buffer.from(bytesOf(vector.payload)).toString('hex');
      assert.deepEqual(meaning, { value: { type, channel, id, payload } });
    });

    it(`encodes ${vector.name} to the same bytes`, () => {
      const { type, channel, id } = vector;
      const given = bytesOf(vector.payload);
      const payload = reencodes(vector.name) ? reencoded(type, given) : given;
      const bytes = bytesOf(vector.hex);
      const written = new Uint8Array(bytes.length);
      const end = writeLinkFrame(written, viewOf(written), 0, { type, channel, id, payload });
      assert.equal(end, bytes.length);
      assert.equal(Buffer.compare(written, bytes), 0);
    });
  }

  for (const vector of vectors.invalid) {
    it(`refuses ${vector.name} (${vector.broken})`, () => {
      const { frames, end } = decode(bytesOf(vector.hex));
      if (vector.broken === 'framing') return assert.notEqual(end, null);
      assert.equal(end, null);
      assert.equal(frames.length, 1);
      const meaning = meaningOf(frames[0] ?? assert.fail('no frame'), vector.sender);
      assert.ok('error' in meaning);
    });
  }

  for (const vector of vectors.maps) {
    it(`A10 ${vector.accepted ? 'accepts' : 'refuses'} a control payload: ${vector.name}`, () => {
      const result = decodeControlMap(bytesOf(vector.hex));
      assert.equal('value' in result, vector.accepted, JSON.stringify(result).slice(0, 200));
    });
  }

  for (const vector of vectors.resync) {
    it(`finds ${vector.rest === null ? 'no' : 'the'} welcome in: ${vector.name}`, () => {
      const bytes = bytesOf(vector.hex);
      for (const size of [1, 2, 7, 64, bytes.length]) {
        assert.equal(restBehindWelcome(bytesOf(vector.nonce), bytes, size), vector.rest, `chunks of ${size}`);
      }
    });
  }

  it('lets no flipped bit pass unnoticed', () => {
    for (const vector of vectors.valid) {
      const original = bytesOf(vector.hex);
      if (original.length > 4_096) continue;
      const meaning = meaningOf(onlyFrame(original), vector.sender);
      for (let bit = 0; bit < original.length * 8; bit += 1) {
        const index = bit >>> 3;
        const mutant = original.slice();
        mutant[index] = (mutant[index] ?? 0) ^ (1 << (bit & 7));
        const { frames, end } = decode(Buffer.concat([mutant, original]));
        const where = `${vector.name}, bit ${bit & 7} of byte ${index}`;
        const inWrapping =
          index < linkHeaderOffset || index >= linkHeaderBytes + bytesOf(vector.payload).length;
        if (inWrapping) assert.ok(end !== null || frames.length < 2, where);
        // A later version's keys are ignored, so a change of one may mean the same.
        const mutated = vector.name.includes('later version') ? [] : frames.slice(0, 1);
        for (const frame of mutated) assert.notDeepEqual(meaningOf(frame, vector.sender), meaning, where);
      }
    }
  });
});

describe('encoding a start', () => {
  const start = { argv: ['true'], env: {}, cwd: '', user: '', stdin: false, timeoutMs: 0 };

  it('refuses what does not fit a frame', () => {
    assert.ok('error' in encodeExecStart({ ...start, argv: ['x'.repeat(65_537)] }));
    assert.ok('value' in encodeExecStart({ ...start, argv: ['x'.repeat(60_000)] }));
  });

  it('refuses half a surrogate pair, which UTF-8 cannot say', () => {
    assert.ok('error' in encodeExecStart({ ...start, env: { A: '\ud83d' } }));
    assert.ok('value' in encodeExecStart({ ...start, env: { A: '\ud83d\ude00' } }));
  });
});

/** Unknown keys are dropped, and the packer writes a positive number over 32 bits in the signed form. */
function reencodes(name: string): boolean {
  return !name.includes('later version') && !name.includes('after a day');
}

function decode(bytes: Uint8Array): { frames: Frame[]; end: string | null } {
  const decoder = new LinkDecoder();
  const frames: Frame[] = [];
  decoder.push(bytes, (frame) => frames.push(frame));
  return { frames, end: decoder.end };
}

function onlyFrame(bytes: Uint8Array): Frame {
  const { frames, end } = decode(bytes);
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

/** The payload decoded and encoded again; raw payloads as they are. */
function reencoded(type: number, payload: Uint8Array): Uint8Array {
  switch (type) {
    case messageTypes.Error.code:
      return encodeError(must(parseError(payload)));
    case messageTypes.Ack.code:
      return encodeExecStarted(must(parseExecStarted(payload)));
    case messageTypes.ExecStart.code:
      return must(encodeExecStart(must(parseExecStart(payload))));
    case messageTypes.ExecExit.code:
      return encodeExecExit(must(parseExecExit(payload)));
    case messageTypes.ExecSignal.code:
      return encodeExecSignal(must(parseExecSignal(payload)));
    case messageTypes.Hello.code:
      return encodeHello(must(parseHello(payload)));
    case messageTypes.Welcome.code:
      return encodeWelcome(must(parseWelcome(payload)));
    case messageTypes.Credit.code:
      return encodeCredit(must(parseCredit(payload)));
    default:
      return payload;
  }
}

function must<T>(result: ParseResult<T>): T {
  return 'value' in result ? result.value : assert.fail(result.error);
}

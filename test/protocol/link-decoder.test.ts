import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeFrame, type Frame, parseFrame, viewOf } from '../../protocol/frame.ts';
import { payloadBytesMax } from '../../protocol/limits.ts';
import { LinkDecoder } from '../../protocol/link-decoder.ts';
import { linkOverheadBytes, writeLinkFrame } from '../../protocol/link-framing.ts';

describe('the frame header', () => {
  it('is the whole message where the transport keeps borders', () => {
    const frame = { type: 0x22, channel: 0xfffffffe, id: 0x01020304, payload: Buffer.from('hi') };
    const message = encodeFrame(frame);
    assert.equal(Buffer.from(message).toString('hex'), '22fffffffe010203046869');
    assert.deepEqual(parseFrame(message), {
      value: { ...frame, payload: new Uint8Array([0x68, 0x69]), message },
    });
  });

  it('reads from the middle of a larger buffer', () => {
    const message = Buffer.concat([Buffer.from('xx'), encodeFrame({ ...aFrame('abc') })]).subarray(2);
    const parsed = parseFrame(message);
    assert.ok('value' in parsed);
    assert.equal(Buffer.from(parsed.value.payload).toString(), 'abc');
  });

  it('refuses a message shorter than itself', () => {
    for (let length = 0; length < 9; length += 1) assert.ok('error' in parseFrame(new Uint8Array(length)));
  });
});

describe('the link decoder', () => {
  it('gives the same frames however the stream is split', () => {
    const frames = [aFrame(''), aFrame('a'), aFrame('b'.repeat(40)), aFrame(''), aFrame('WPL1'.repeat(9))];
    const stream = streamOf(frames);
    for (let size = 1; size <= stream.length; size += 1) {
      assert.deepEqual(described(decodeInChunks(stream, () => size)), described(frames), `chunks of ${size}`);
    }
    for (let cut = 1; cut < stream.length; cut += 1) {
      const decoder = new LinkDecoder();
      const seen: Frame[] = [];
      decoder.push(stream.subarray(0, cut), (frame) => seen.push(frame));
      decoder.push(stream.subarray(cut), (frame) => seen.push(frame));
      assert.deepEqual(described(seen), described(frames), `cut at ${cut}`);
    }
  });

  it('takes the largest frame in any split, and keeps earlier payloads intact', () => {
    const frames = [1, 2, 3].map((fill) => ({
      type: 0x21,
      channel: fill,
      id: 0,
      payload: new Uint8Array(payloadBytesMax).fill(fill),
    }));
    for (const size of [4_096, 16_384, 65_536, 65_557, 70_000, 1_000_000]) {
      assert.deepEqual(described(decodeInChunks(streamOf(frames), () => size)), described(frames));
    }
  });

  it('copies nothing when a frame lies whole in its chunk', () => {
    const stream = streamOf([aFrame('payload')]);
    const [frame] = decodeInChunks(stream, () => stream.length);
    assert.equal(frame?.payload.buffer, stream.buffer);
  });

  it('keeps no chunk alive for a small frame, and no frame uncopied that is a good part of it', () => {
    const bulk = { ...aFrame(''), payload: new Uint8Array(16_384) };
    const stream = streamOf([aFrame('x'), bulk, bulk, bulk, aFrame('y')]);
    const [first, second, , , last] = decodeInChunks(stream, () => stream.length);
    assert.equal(second?.payload.buffer, stream.buffer);
    for (const small of [first, last]) assert.ok((small?.payload.buffer.byteLength ?? 0) < 64);
  });

  it('gives header and payload in one piece that may be written to, whole in a chunk or gathered', () => {
    const frames = [aFrame('first'), aFrame(''), aFrame('third')];
    for (const size of [1, 7, 30, 1_000]) {
      const seen = decodeInChunks(streamOf(frames), () => size);
      for (const [index, frame] of frames.entries()) {
        const message = seen[index]?.message ?? assert.fail('no message');
        assert.deepEqual(new Uint8Array(message), encodeFrame(frame));
        viewOf(message).setUint32(1, 77);
        assert.equal(
          Buffer.from(seen[index]?.payload ?? []).toString(),
          Buffer.from(frame.payload).toString(),
        );
      }
      const channels = seen.map(({ message }) => viewOf(message ?? assert.fail()).getUint32(1));
      assert.deepEqual(channels, [77, 77, 77]);
    }
  });

  it('lends the same frames, each good until the next', () => {
    const frames = [aFrame('a'), aFrame('b'.repeat(4_000)), aFrame(''), aFrame('c'.repeat(300)), aFrame('d')];
    const stream = streamOf(frames);
    for (const size of [1, 7, 100, 1_000, 5_000]) {
      const decoder = new LinkDecoder('lent');
      const chunk = new Uint8Array(size);
      const seen: Frame[] = [];
      for (let offset = 0; offset < stream.length; offset += size) {
        const part = stream.subarray(offset, offset + size);
        chunk.set(part);
        decoder.push(chunk.subarray(0, part.length), (frame) => {
          seen.push({ ...frame, payload: frame.payload.slice() });
          frame.message?.fill(0xff);
        });
      }
      assert.deepEqual(described(seen), described(frames), `chunks of ${size}`);
    }
  });

  it('acts on no frame before its trailer', () => {
    const stream = streamOf([aFrame('abc')]);
    const seen: Frame[] = [];
    const decoder = new LinkDecoder();
    decoder.push(stream.subarray(0, stream.length - 1), (frame) => seen.push(frame));
    assert.equal(seen.length, 0);
    decoder.push(stream.subarray(stream.length - 1), (frame) => seen.push(frame));
    assert.equal(seen.length, 1);
  });

  it('gives no frame after the first wrong byte, and says what was wrong', () => {
    const stream = streamOf([aFrame('abc'), aFrame('def'), aFrame('ghi')]);
    stream[aFrameBytes(3) + 4] = 0xff;
    const decoder = new LinkDecoder();
    const seen: Frame[] = [];
    decoder.push(stream, (frame) => seen.push(frame));
    decoder.push(streamOf([aFrame('jkl')]), (frame) => seen.push(frame));
    assert.equal(seen.length, 1);
    assert.match(decoder.end ?? '', /over 65536/);
  });

  it('stops in the middle of a chunk when its reader says so', () => {
    const decoder = new LinkDecoder();
    let seen = 0;
    decoder.push(streamOf([aFrame('a'), aFrame('b')]), () => {
      seen += 1;
      decoder.stop();
    });
    assert.equal(seen, 1);
  });
});

function aFrame(payload: string): Frame {
  return { type: 0x22, channel: 3, id: 0, payload: new Uint8Array(Buffer.from(payload)) };
}

function aFrameBytes(payloadLength: number): number {
  return payloadLength + linkOverheadBytes;
}

function streamOf(frames: readonly Frame[]): Uint8Array {
  const stream = new Uint8Array(frames.reduce((sum, { payload }) => sum + aFrameBytes(payload.length), 0));
  let offset = 0;
  for (const frame of frames) offset = writeLinkFrame(stream, viewOf(stream), offset, frame);
  return stream;
}

function decodeInChunks(stream: Uint8Array, nextSize: () => number): Frame[] {
  const decoder = new LinkDecoder();
  const frames: Frame[] = [];
  for (let offset = 0; offset < stream.length; ) {
    const end = offset + nextSize();
    decoder.push(stream.subarray(offset, end), (frame) => frames.push(frame));
    offset = end;
  }
  assert.equal(decoder.end, null);
  return frames;
}

function described(frames: readonly Frame[]): object[] {
  return frames.map(({ type, channel, id, payload }) => ({
    type,
    channel,
    id,
    length: payload.length,
    payload: Buffer.from(payload).toString('latin1'),
  }));
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageReader } from '../../src/client/node/message-reader.ts';

type Heard = string | readonly [number, string];

function reader(messageBytesMax = 1_000) {
  const heard: Heard[] = [];
  const sink = {
    onMessage: (message: Buffer, isText: boolean) => {
      const text = message.length > 20 ? `${message.length} bytes` : message.toString();
      heard.push(isText ? `text ${text}` : text);
    },
    onPing: (payload: Buffer) => heard.push(`ping ${payload}`),
    onClose: (code: number, reason: string) => heard.push([code, reason]),
  };
  return { heard, reader: new MessageReader(sink, messageBytesMax) };
}

/** One frame of a server. */
function frame(first: number, body: string | number): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.alloc(body, 0x61);
  const { length } = bytes;
  if (length < 126) return Buffer.concat([Buffer.of(first, length), bytes]);
  if (length <= 0xffff) return Buffer.concat([Buffer.of(first, 126, length >> 8, length & 0xff), bytes]);
  const head = Buffer.from([first, 127, 0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(length, 6);
  return Buffer.concat([head, bytes]);
}

const closing = Buffer.concat([Buffer.of(0x88, 4, 0x03, 0xe9), Buffer.from('by')]);

test('messages come whole and in order, wherever the pieces they arrive in are cut', () => {
  const bytes = Buffer.concat([
    frame(0x82, 'one'),
    frame(0x82, ''),
    frame(0x82, 300),
    frame(0x02, 'a'),
    frame(0x89, 'are you there'),
    frame(0x00, 'b'),
    frame(0x8a, 'a pong that nobody asked for'),
    frame(0x80, 'c'),
    frame(0x82, 70_000),
    frame(0x81, 'words'),
    closing,
    frame(0x82, 'behind the close'),
  ]);
  const expected = [
    'one',
    '',
    '300 bytes',
    'ping are you there',
    'abc',
    '70000 bytes',
    'text words',
    [1001, 'by'],
  ];
  for (const pieceBytes of [1, 2, 3, 7, 64, 299, 65_536, bytes.length]) {
    const { heard, reader: read } = reader(100_000);
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      // A piece is the connection's again as soon as it was pushed.
      const piece = Buffer.from(bytes.subarray(at, at + pieceBytes));
      assert.equal(read.push(piece), null);
      piece.fill(0xff);
    }
    assert.deepEqual(heard, expected, `in pieces of ${pieceBytes}`);
  }
});

test('a close without a code is told as 1005', () => {
  const { heard, reader: read } = reader();
  assert.equal(read.push(frame(0x88, '')), null);
  assert.deepEqual(heard, [[1005, '']]);
});

const broken: Readonly<Record<string, { readonly bytes: Buffer; readonly code: number }>> = {
  'a masked frame': { bytes: Buffer.of(0x82, 0x81, 1, 2, 3, 4, 5), code: 1002 },
  'a reserved bit (compression)': { bytes: frame(0xc2, 'x'), code: 1002 },
  'an unknown opcode': { bytes: frame(0x83, 'x'), code: 1002 },
  'a continuation of nothing': { bytes: frame(0x80, 'x'), code: 1002 },
  'a message inside of another': { bytes: Buffer.concat([frame(0x02, 'x'), frame(0x82, 'y')]), code: 1002 },
  'a ping in fragments': { bytes: frame(0x09, 'x'), code: 1002 },
  'a long ping': { bytes: frame(0x89, 126), code: 1002 },
  'half a close code': { bytes: frame(0x88, 'x'), code: 1002 },
  'a message over the limit': { bytes: frame(0x82, 1_001), code: 1009 },
  'fragments over the limit': { bytes: Buffer.concat([frame(0x02, 600), frame(0x80, 600)]), code: 1009 },
  'a length of eight bytes that no memory has': {
    bytes: Buffer.of(0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
    code: 1009,
  },
  'fragments without end that hold nothing': {
    bytes: Buffer.concat([frame(0x02, ''), ...Array.from({ length: 2_000 }, () => frame(0x00, ''))]),
    code: 1009,
  },
};

for (const [what, { bytes, code }] of Object.entries(broken)) {
  test(`${what} is refused, and nothing is taken behind it`, () => {
    const { heard, reader: read } = reader();
    assert.equal(read.push(Buffer.concat([bytes, frame(0x82, 'more')]))?.code, code);
    assert.equal(read.push(frame(0x82, 'still more')), null);
    assert.deepEqual(heard, []);
  });
}

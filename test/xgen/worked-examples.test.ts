import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeFrame, noPayload, parseFrame } from '../../protocol/frame.ts';
import * as xgen from '../../protocol/xgen-messages.ts';
import { decode } from './msgpack-reader.ts';

/** The examples that the published protocol works through, byte by byte; an ellipsis there is spelled out here. */
const processId = 0xf8000001;

const encoded: readonly [string, string, number, number, number, Uint8Array][] = [
  ['SandboxReady', '50 00000000 00000000', 0x50, 0, 0, noPayload],
  ['Pong id 7', '02 00000000 00000007', 0x02, 0, 7, noPayload],
  [
    'Ack',
    '04 00000005 00000000 82aa70726f636573735f6964cef8000001a76368616e6e656c05',
    0x04,
    5,
    0,
    xgen.encodeXgenAck(processId, 5),
  ],
  [
    'Ack of a channel that the server chose',
    '04 00000065 00000009 82aa70726f636573735f6964cef8000001a76368616e6e656c65',
    0x04,
    101,
    9,
    xgen.encodeXgenAck(processId, 101),
  ],
  ['ExecStdout', '22 00000005 00000000 68690a', 0x22, 5, 0, Buffer.from('hi\n')],
  ['ExecStderr', '23 00000005 00000000 6f6f70730a', 0x23, 5, 0, Buffer.from('oops\n')],
  ['ExecExit 0', '24 00000005 00000000 81a9657869745f636f646500', 0x24, 5, 0, xgen.encodeXgenExecExit(0)],
  ['ExecExit 3', '24 00000005 00000000 81a9657869745f636f646503', 0x24, 5, 0, xgen.encodeXgenExecExit(3)],
  [
    'ExecExit 137',
    '24 00000005 00000000 81a9657869745f636f6465cc89',
    0x24,
    5,
    0,
    xgen.encodeXgenExecExit(137),
  ],
  ['ExecExit -1', '24 00000005 00000000 81a9657869745f636f6465ff', 0x24, 5, 0, xgen.encodeXgenExecExit(-1)],
  [
    'Error channel_in_use',
    '03 00000005 00000000 82a4636f6465ae6368616e6e656c5f696e5f757365a76d657373616765b36368616e6e656c203520697320696e20757365',
    0x03,
    5,
    0,
    xgen.encodeXgenError('channel_in_use', 'channel 5 is in use'),
  ],
  [
    'Error to an unknown type',
    '03 00000005 00000003 82a4636f6465af756e6b6e6f776e5f6d657373616765a76d657373616765ba756e6b6e6f776e206d65737361676520747970653a2030783132',
    0x03,
    5,
    3,
    xgen.encodeXgenError('unknown_message', 'unknown message type: 0x12'),
  ],
  [
    'FsRead failure',
    '03 00000000 00000001 82a4636f6465a866735f6572726f72a76d657373616765b3612e7478743a206e6f20737563682066696c65',
    0x03,
    0,
    1,
    xgen.encodeXgenError('fs_error', 'a.txt: no such file'),
  ],
  [
    'FsList of one entry',
    '32 00000000 00000003 9186a46e616d65a5612e747874a473697a6503a56973446972c2a76d6f6454696d65ce6553f100a669735f646972c2a86d6f645f74696d65ce6553f100',
    0x32,
    0,
    3,
    xgen.encodeXgenEntries([{ name: 'a.txt', size: 3, isDirectory: false, modifiedAt: 0x6553f100 }]),
  ],
  ['FsList of an empty directory', '32 00000000 00000003 90', 0x32, 0, 3, xgen.encodeXgenEntries([])],
  [
    'FsEvent',
    '35 00000000 00000000 82a470617468a5612e747874a474797065a763726561746564',
    0x35,
    0,
    0,
    xgen.encodeXgenFsEvent('a.txt', 'created'),
  ],
  ['PortOpen', '40 00000000 00000000 81a4706f7274cd0bb8', 0x40, 0, 0, xgen.encodeXgenPort(3000)],
  ['PortClose', '41 00000000 00000000 81a4706f7274cd0bb8', 0x41, 0, 0, xgen.encodeXgenPort(3000)],
  [
    'SandboxError',
    '51 00000000 00000000 82a4636f6465ae73616e64626f785f6661696c6564a76d657373616765ae72756e74696d6520657869746564',
    0x51,
    0,
    0,
    xgen.encodeXgenError('sandbox_failed', 'runtime exited'),
  ],
];

describe('the worked examples of the published protocol, as they are written', () => {
  for (const [name, hex, type, channel, id, payload] of encoded) {
    it(name, () => {
      assert.equal(hexOf(encodeFrame({ type, channel, id, payload })), hex.replaceAll(' ', ''));
    });
  }
});

const start = { command: 'sh', args: ['-c', 'echo hi'], env: {}, cwd: '', tty: false, cols: 0, rows: 0 };
const parsed: readonly [string, string, (payload: Uint8Array) => unknown, unknown][] = [
  [
    'ExecStart',
    '20 00000005 00000000 83a7636f6d6d616e64a27368a46172677392a22d63a76563686f206869a3747479c2',
    xgen.parseXgenExecStart,
    start,
  ],
  [
    'ExecStart with nil',
    '20 00000005 00000000 85a7636f6d6d616e64a27368a46172677392a22d63a76563686f206869a3656e76c0a3637764c0a3747479c2',
    xgen.parseXgenExecStart,
    start,
  ],
  [
    'ExecStart of a terminal',
    '20 00000006 00000000 85a7636f6d6d616e64a92f62696e2f62617368a46172677390a3747479c3a4636f6c7350a4726f777318',
    xgen.parseXgenExecStart,
    { ...start, command: '/bin/bash', args: [], tty: true, cols: 80, rows: 24 },
  ],
  [
    'ExecSignal by channel',
    '25 00000006 00000000 81a67369676e616ca6534947494e54',
    xgen.parseXgenExecSignal,
    { signal: 'SIGINT', processId: 0 },
  ],
  [
    'ExecSignal by process',
    '25 00000006 00000000 82aa70726f636573735f6964cef8000001a67369676e616ca75349475445524d',
    xgen.parseXgenExecSignal,
    { signal: 'SIGTERM', processId },
  ],
  [
    'ExecResize',
    '26 00000006 00000000 82a4636f6c7378a4726f777328',
    xgen.parseXgenExecResize,
    { cols: 120, rows: 40, processId: 0 },
  ],
  [
    'ExecResize with a process id as float64, and trailing bytes',
    '26 00000006 00000000 83a4636f6c7378a4726f777328aa70726f636573735f6964cb41ef000000200000ffff',
    xgen.parseXgenExecResize,
    { cols: 120, rows: 40, processId },
  ],
  ['FsRead', '30 00000000 00000001 81a470617468a5612e747874', xgen.parseXgenPath, 'a.txt'],
  [
    'FsWrite',
    '31 00000000 00000002 82a470617468a5612e747874a7636f6e74656e74c40368690a',
    xgen.parseXgenFsWrite,
    { path: 'a.txt', content: Buffer.from('hi\n'), mode: 0 },
  ],
  [
    'FsWrite with a mode',
    '31 00000000 00000002 83a470617468a4612e7368a7636f6e74656e74c40368690aa46d6f6465cd01ed',
    xgen.parseXgenFsWrite,
    { path: 'a.sh', content: Buffer.from('hi\n'), mode: 0o755 },
  ],
  [
    'FsRemove',
    '33 00000000 00000004 82a470617468a5612e747874a9726563757273697665c2',
    xgen.parseXgenFsRemove,
    { path: 'a.txt', recursive: false },
  ],
  ['FsWatch', '34 00000000 00000000 81a470617468a12e', xgen.parseXgenFsWatch, { path: '.', unwatch: false }],
  [
    'FsWatch taken back',
    '34 00000000 00000000 82a470617468a12ea7756e7761746368c3',
    xgen.parseXgenFsWatch,
    { path: '.', unwatch: true },
  ],
];

describe('the worked examples of the published protocol, as they are read', () => {
  for (const [name, hex, parse, expected] of parsed) {
    it(name, () => {
      const frame = parseFrame(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
      assert.ok('value' in frame);
      const result = parse(frame.value.payload) as { value: unknown };
      assert.deepEqual(plain(result.value), plain(expected));
    });
  }

  for (const [form, hex, bytes] of [
    ['behind a process id', 'f80000016c730a', 'ls\n'],
    ['behind 0', '000000006c730a', 'ls\n'],
    ['raw and short', '6c730a', 'ls\n'],
    ['raw', '6563686f0a', 'echo\n'],
  ] as const) {
    it(`input ${form}`, () => {
      const split = xgen.splitXgenStdin(Buffer.from(hex, 'hex'), (id) => id === processId);
      assert.equal(Buffer.from(split.bytes).toString(), bytes);
    });
  }
});

describe('payloads of the xgen baseline', () => {
  it('text may come as bytes, and content as text', () => {
    assert.deepEqual(xgen.parseXgenPath(Buffer.from('81a470617468c403612f62', 'hex')), { value: 'a/b' });
    const write = xgen.parseXgenFsWrite(Buffer.from('82a470617468a161a7636f6e74656e74a26869', 'hex'));
    assert.ok('value' in write);
    assert.deepEqual(plain(write.value.content), plain(Buffer.from('hi')));
  });

  it('a missing key, a wrong type and a number with a fraction are refused by name', () => {
    assert.deepEqual(xgen.parseXgenExecStart(Buffer.of(0x80)), { error: 'command: missing' });
    assert.deepEqual(xgen.parseXgenPath(Buffer.from('81a47061746801', 'hex')), { error: 'path: not text' });
    const half = xgen.parseXgenExecResize(Buffer.from('81a4636f6c73cb3fe0000000000000', 'hex'));
    assert.ok('error' in half && half.error.startsWith('cols: '));
  });

  it('what is no map, is cut short, nests deeply, or lies about its length is refused before it is decoded', () => {
    for (const hex of [
      '',
      '00',
      'c0',
      '81',
      '81a470617468',
      'd47240',
      'dfffffffff',
      `81a161${'91'.repeat(100_000)}`,
    ]) {
      const result = xgen.parseXgenPath(Buffer.from(hex, 'hex'));
      assert.ok('error' in result && result.malformed === true, hex.slice(0, 20));
    }
  });

  it('sizes over 32 bits are integers', () => {
    const size = 5_000_000_000;
    const list = decode(xgen.encodeXgenEntries([{ name: 'a', size, isDirectory: false, modifiedAt: 1 }])) as {
      size: bigint;
    }[];
    assert.equal(list[0]?.size, BigInt(size));
  });
});

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** Bytes as hex, so that a view and a copy are the same. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, item) =>
      item?.type === 'Buffer'
        ? hexOf(Buffer.from(item.data))
        : item instanceof Uint8Array
          ? hexOf(item)
          : item,
    ),
  );
}

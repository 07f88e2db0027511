import { Packr } from 'msgpackr/index-no-eval';
import { headerBytes, viewOf } from './frame.ts';
import { LenientFields } from './lenient-fields.ts';
import { endOfMap, type MsgpackBounds } from './msgpack-bounds.ts';
import type { ParseResult } from './parse-result.ts';

/**
 * The payloads of the xgen baseline (protocol/README.md section 10): what a published xgen client sends and expects on a
 * WebSocket without a subprotocol. Frames are those of frame.ts. Parsers take what any of those clients write, never
 * throw, and leave binary values as views on the message.
 */

export const xgenTypes = {
  Ping: 0x01,
  Pong: 0x02,
  Error: 0x03,
  Ack: 0x04,
  ChannelClose: 0x11,
  ExecStart: 0x20,
  ExecStdin: 0x21,
  ExecStdout: 0x22,
  ExecStderr: 0x23,
  ExecExit: 0x24,
  ExecSignal: 0x25,
  ExecResize: 0x26,
  FsRead: 0x30,
  FsWrite: 0x31,
  FsList: 0x32,
  FsRemove: 0x33,
  FsWatch: 0x34,
  FsEvent: 0x35,
  PortOpen: 0x40,
  PortClose: 0x41,
  SandboxReady: 0x50,
  SandboxError: 0x51,
} as const;

export type XgenErrorCode =
  | 'unknown_message'
  | 'invalid_payload'
  | 'exec_failed'
  | 'fs_error'
  | 'watch_error'
  | 'channel_in_use'
  | 'forbidden'
  | 'sandbox_failed';

/** A whole file travels in one message, so this is far above the frames of the native protocol. */
export const xgenMessageBytesMax = 16_777_216;
export const xgenPayloadBytesMax = xgenMessageBytesMax - headerBytes;
/** Some clients cap what they take at 1 MiB, and a terminal draws each frame by itself. */
export const xgenOutputBytesMax = 16_384;
/** The first byte of a process id can then never begin UTF-8 text, so text is never taken for one. */
export const xgenProcessIdMin = 0xf800_0000;
export const xgenProcessIdMax = 0xffff_ffff;

const u16Max = 0xffff;
const u32Max = 0xffff_ffff;

export interface XgenExecStart {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Empty: the workspace. */
  readonly cwd: string;
  readonly tty: boolean;
  /** 0: the default. */
  readonly cols: number;
  readonly rows: number;
}

export function parseXgenExecStart(payload: Uint8Array): ParseResult<XgenExecStart> {
  return parseMap(payload, (fields) => ({
    command: fields.text('command'),
    args: fields.texts('args'),
    env: fields.textMap('env'),
    cwd: fields.optionalText('cwd') ?? '',
    tty: fields.boolean('tty'),
    cols: fields.integer('cols', 0, u16Max) ?? 0,
    rows: fields.integer('rows', 0, u16Max) ?? 0,
  }));
}

/** `processId` 0: the process of the frame's channel. */
export interface XgenExecSignal {
  readonly signal: string;
  readonly processId: number;
}

export function parseXgenExecSignal(payload: Uint8Array): ParseResult<XgenExecSignal> {
  return parseMap(payload, (fields) => ({ signal: fields.text('signal'), processId: processIdOf(fields) }));
}

export interface XgenExecResize {
  /** 0: the default. */
  readonly cols: number;
  readonly rows: number;
  readonly processId: number;
}

export function parseXgenExecResize(payload: Uint8Array): ParseResult<XgenExecResize> {
  return parseMap(payload, (fields) => ({
    cols: fields.integer('cols', 0, u16Max) ?? 0,
    rows: fields.integer('rows', 0, u16Max) ?? 0,
    processId: processIdOf(fields),
  }));
}

function processIdOf(fields: LenientFields): number {
  return fields.integer('process_id', 0, u32Max) ?? 0;
}

export interface XgenStdin {
  /** 0: the process of the frame's channel. */
  readonly processId: number;
  readonly bytes: Uint8Array;
}

/**
 * Published clients put a process id in front of the bytes, 0 before they know it; the reference says raw bytes. Only
 * what is 0 or the id of a live process is taken for an id.
 */
export function splitXgenStdin(
  payload: Uint8Array,
  isLiveProcess: (processId: number) => boolean,
): XgenStdin {
  const first = payload.length >= 4 ? viewOf(payload).getUint32(0) : undefined;
  if (first === undefined || (first !== 0 && !isLiveProcess(first))) return { processId: 0, bytes: payload };
  return { processId: first, bytes: payload.subarray(4) };
}

/** FsRead and FsList. */
export function parseXgenPath(payload: Uint8Array): ParseResult<string> {
  return parseMap(payload, (fields) => fields.text('path'));
}

export interface XgenFsWrite {
  readonly path: string;
  readonly content: Uint8Array;
  /** Permission bits; 0: the default. */
  readonly mode: number;
}

export function parseXgenFsWrite(payload: Uint8Array): ParseResult<XgenFsWrite> {
  return parseMap(payload, (fields) => ({
    path: fields.text('path'),
    content: fields.bytes('content'),
    mode: (fields.integer('mode', 0, u32Max) ?? 0) % 0o1000,
  }));
}

export interface XgenFsRemove {
  readonly path: string;
  readonly recursive: boolean;
}

export function parseXgenFsRemove(payload: Uint8Array): ParseResult<XgenFsRemove> {
  return parseMap(payload, (fields) => ({
    path: fields.text('path'),
    recursive: fields.boolean('recursive'),
  }));
}

export interface XgenFsWatch {
  readonly path: string;
  readonly unwatch: boolean;
}

export function parseXgenFsWatch(payload: Uint8Array): ParseResult<XgenFsWatch> {
  return parseMap(payload, (fields) => ({ path: fields.text('path'), unwatch: fields.boolean('unwatch') }));
}

export function encodeXgenError(code: XgenErrorCode, message: string): Uint8Array {
  return packr.pack({ code, message });
}

export function encodeXgenAck(processId: number, channel: number): Uint8Array {
  return packr.pack({ process_id: processId, channel });
}

export function encodeXgenExecExit(exitCode: number): Uint8Array {
  return packr.pack({ exit_code: exitCode });
}

export interface XgenEntry {
  readonly name: string;
  readonly size: number;
  readonly isDirectory: boolean;
  /** Seconds since 1970. */
  readonly modifiedAt: number;
}

/** Each fact twice, because published clients read one spelling or the other. */
export function encodeXgenEntries(entries: readonly XgenEntry[]): Uint8Array {
  if (entries.length === 0) return emptyList;
  return packr.pack(
    entries.map(({ name, size, isDirectory, modifiedAt }) => ({
      name,
      size: asInteger(size),
      isDir: isDirectory,
      modTime: asInteger(modifiedAt),
      is_dir: isDirectory,
      mod_time: asInteger(modifiedAt),
    })),
  );
}

const emptyList = Uint8Array.of(0x90);

export type XgenFsEventType = 'created' | 'modified' | 'deleted';

export function encodeXgenFsEvent(path: string, type: XgenFsEventType): Uint8Array {
  return packr.pack({ path, type });
}

export function encodeXgenPort(port: number): Uint8Array {
  return packr.pack({ port });
}

/** Plain maps that every language reads; no records, no shared structures, nothing remembered between two messages. */
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  int64AsType: 'number',
  variableMapSize: true,
});

const bounds: MsgpackBounds = {
  bytesMax: xgenPayloadBytesMax,
  /** The message, its arrays and maps, and room for one more level in keys that are not known here. */
  depthMax: 4,
  /** Far above what fits a command line of 60,000 bytes in sensible words. */
  elementsMax: 16_384,
  nil: 'allowed',
};

/** Above 32 bits the packer writes a number as a float, which is no size for typed languages. */
function asInteger(value: number): number | bigint {
  return value > u32Max ? BigInt(value) : value;
}

/** Trailing bytes are ignored, as are keys that `read` does not ask for. */
function parseMap<T>(payload: Uint8Array, read: (fields: LenientFields) => T): ParseResult<T> {
  const end = endOfMap(payload, bounds);
  if ('error' in end) return { error: end.error, malformed: true };
  let map: Readonly<Record<string, unknown>>;
  try {
    map = packr.unpack(payload.subarray(0, end.value));
  } catch (error) {
    return { error: error instanceof Error ? error.message : 'not decodable', malformed: true };
  }
  const fields = new LenientFields(map);
  const value = read(fields);
  return fields.result(value);
}

import { type ControlMap, decodeControlMap, encodeControlMap } from './control-map.ts';
import { FieldReader } from './field-reader.ts';
import { viewOf } from './frame.ts';
import type { ParseResult } from './parse-result.ts';

/** The payloads of protocol/README.md sections 2 to 4. Each parser takes bytes from outside and never throws. */

export const protocolVersion = 1;
export const nonceBytes = 16;
export const windowBytesMax = 1_048_576;
export const windowBytesDefault = 262_144;
/** Processes with a link, per guest: bounded state there. */
export const channelsMax = 256;
export const argvEntriesMax = 1_024;
export const envEntriesMax = 1_024;
const u32Max = 0xffff_ffff;

export interface Hello {
  readonly nonce: Uint8Array;
  /** Output credit that each exec starts with. */
  readonly window: number;
}

export interface Welcome {
  readonly nonce: Uint8Array;
  /** Stdin credit that each exec starts with. */
  readonly window: number;
  readonly pid: number;
  readonly uid: number;
  readonly channelsMax: number;
}

export interface ExecStart {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly user: string;
  readonly stdin: boolean;
  /** 0: none. */
  readonly timeoutMs: number;
}

export interface ExecExit {
  /** Exactly one of the two is set. */
  readonly exitCode: number | null;
  readonly signal: number | null;
  readonly timedOut: boolean;
  readonly durationUs: number;
}

/** The closed set of section 4; an Error with another code is no Error of this version. */
export const guestErrorCodes = [
  'invalid_payload',
  'channel_in_use',
  'user_unknown',
  'user_unavailable',
  'cwd_invalid',
  'command_not_found',
  'command_not_executable',
  'limit_exceeded',
  'spawn_failed',
  'unknown_message',
  'credit_exceeded',
] as const;
export type GuestErrorCode = (typeof guestErrorCodes)[number];

export interface GuestError {
  readonly code: GuestErrorCode;
  readonly message: string;
}

export function encodeHello(hello: Hello): Uint8Array {
  return encodeSmall({ version: protocolVersion, nonce: hello.nonce, window: hello.window });
}

export function parseHello(payload: Uint8Array): ParseResult<Hello> {
  return parseMap(payload, (fields) => {
    fields.integer('version', protocolVersion, protocolVersion);
    return {
      nonce: fields.bytes('nonce', nonceBytes),
      window: fields.integer('window', 1, windowBytesMax),
    };
  });
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  const { nonce, window, pid, uid } = welcome;
  return encodeSmall({
    version: protocolVersion,
    nonce,
    window,
    pid,
    uid,
    channels_max: welcome.channelsMax,
  });
}

export function parseWelcome(payload: Uint8Array): ParseResult<Welcome> {
  return parseMap(payload, (fields) => {
    fields.integer('version', protocolVersion, protocolVersion);
    return {
      nonce: fields.bytes('nonce', nonceBytes),
      window: fields.integer('window', 1, windowBytesMax),
      pid: fields.integer('pid', 0, u32Max),
      uid: fields.integer('uid', 0, u32Max),
      channelsMax: fields.integer('channels_max', 1, channelsMax),
    };
  });
}

/** Fails when it does not fit a frame, or when text holds half a surrogate pair, which UTF-8 cannot say. */
export function encodeExecStart(start: ExecStart): ParseResult<Uint8Array> {
  const { argv, env, cwd, user, stdin } = start;
  const texts = [...argv, ...Object.keys(env), ...Object.values(env), cwd, user];
  if (texts.some((text) => loneSurrogate.test(text))) return { error: 'text that is not valid Unicode' };
  return encodeControlMap({
    argv,
    env,
    cwd,
    user,
    stdin,
    ...(start.timeoutMs > 0 ? { timeout_ms: start.timeoutMs } : {}),
  });
}

const loneSurrogate = /\p{Surrogate}/u;

export function parseExecStart(payload: Uint8Array): ParseResult<ExecStart> {
  return parseMap(payload, (fields) => ({
    argv: fields.texts('argv', 1, argvEntriesMax),
    env: fields.textMap('env', envEntriesMax),
    cwd: fields.text('cwd'),
    user: fields.text('user'),
    stdin: fields.boolean('stdin'),
    timeoutMs: fields.has('timeout_ms') ? fields.integer('timeout_ms', 0, u32Max) : 0,
  }));
}

export function encodeExecExit(exit: ExecExit): Uint8Array {
  return encodeSmall({
    ...(exit.signal === null ? { exit_code: exit.exitCode ?? 0 } : { signal: exit.signal }),
    timed_out: exit.timedOut,
    duration_us: exit.durationUs > u32Max ? BigInt(exit.durationUs) : exit.durationUs,
  });
}

export function parseExecExit(payload: Uint8Array): ParseResult<ExecExit> {
  return parseMap(payload, (fields) => {
    if (fields.has('exit_code') === fields.has('signal')) {
      fields.fail('exactly one of exit_code and signal must be there');
    }
    return {
      exitCode: fields.has('exit_code') ? fields.integer('exit_code', 0, 255) : null,
      signal: fields.has('signal') ? fields.integer('signal', 1, 255) : null,
      timedOut: fields.boolean('timed_out'),
      durationUs: fields.integer('duration_us', 0, Number.MAX_SAFE_INTEGER),
    };
  });
}

export function encodeExecSignal(signal: number): Uint8Array {
  return encodeSmall({ signal });
}

export function parseExecSignal(payload: Uint8Array): ParseResult<number> {
  return parseMap(payload, (fields) => fields.integer('signal', 1, 64));
}

export function encodeAck(pid: number): Uint8Array {
  return encodeSmall({ pid });
}

/** The pid. */
export function parseAck(payload: Uint8Array): ParseResult<number> {
  return parseMap(payload, (fields) => fields.integer('pid', 1, u32Max));
}

export function encodeError(error: GuestError): Uint8Array {
  return encodeSmall({ code: error.code, message: error.message });
}

export function parseError(payload: Uint8Array): ParseResult<GuestError> {
  return parseMap(payload, (fields) => {
    const text = fields.text('code');
    const code = guestErrorCodes.find((known) => known === text);
    if (code === undefined) fields.fail('code: not one of the known codes');
    return { code: code ?? 'spawn_failed', message: fields.text('message') };
  });
}

export function encodeCredit(bytes: number): Uint8Array {
  const payload = new Uint8Array(4);
  viewOf(payload).setUint32(0, bytes);
  return payload;
}

export function parseCredit(payload: Uint8Array): ParseResult<number> {
  if (payload.length !== 4) return { error: 'not four bytes' };
  return { value: viewOf(payload).getUint32(0) };
}

function parseMap<T>(payload: Uint8Array, read: (fields: FieldReader) => T): ParseResult<T> {
  const map = decodeControlMap(payload);
  if ('error' in map) return map;
  const fields = new FieldReader(map.value);
  return fields.result(read(fields));
}

/** For messages whose size is fixed by their fields: one that does not fit is a mistake in this file. */
function encodeSmall(map: ControlMap): Uint8Array {
  const payload = encodeControlMap(map);
  if ('error' in payload)
    throw new Error(`assertion failed: a small message fits a frame (${payload.error})`);
  return payload.value;
}

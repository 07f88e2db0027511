import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeControlMap } from '../../protocol/control-map.ts';
import { parseCredit } from '../../protocol/control-messages.ts';
import { type Frame, parseFrame } from '../../protocol/frame.ts';
import { LinkDecoder } from '../../protocol/link-decoder.ts';
import { brokenRule, messageTypes, type Sender, type Wire } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { parseAckPayload, parseEndPayload, parsePayload } from '../../protocol/payload-parsers.ts';
import { packageRoot } from '../../src/package-root.ts';

export interface ValidVector {
  readonly name: string;
  readonly sender: Sender;
  readonly type: number;
  readonly channel: number;
  readonly id: number;
  /** Of an Ack or an End: the type of its request. */
  readonly answers?: number;
  readonly payload: string;
  readonly message?: Readonly<Record<string, unknown>>;
  readonly hex: string;
}

export interface InvalidVector {
  readonly name: string;
  readonly sender: Sender;
  readonly broken: 'framing' | 'frame' | 'rule' | 'payload';
  readonly answers?: number;
  readonly hex: string;
}

export interface LinkVectors {
  readonly valid: readonly ValidVector[];
  readonly invalid: readonly InvalidVector[];
  readonly maps: readonly { readonly name: string; readonly hex: string; readonly accepted: boolean }[];
  readonly resync: readonly {
    readonly name: string;
    readonly nonce: string;
    readonly hex: string;
    readonly rest: string | null;
  }[];
}

export interface SocketVectors {
  readonly valid: readonly ValidVector[];
  readonly invalid: readonly InvalidVector[];
  readonly records: readonly {
    readonly name: string;
    readonly of: number;
    readonly records: readonly Readonly<Record<string, unknown>>[];
    readonly hex: string;
  }[];
  readonly brokenRecords: readonly { readonly name: string; readonly of: number; readonly hex: string }[];
}

export function readLinkVectors(): LinkVectors {
  return readVectors('link');
}

export function readSocketVectors(): SocketVectors {
  return readVectors('socket');
}

function readVectors<T>(wire: Wire): T {
  return JSON.parse(readFileSync(join(packageRoot(), `protocol/vectors/${wire}.json`), 'utf8'));
}

/** The notation of the vector files: hexadecimal, white space, and `hh*N`. */
export function bytesOf(hex: string): Uint8Array {
  const parts = hex.split(/\s+/).map((token) => {
    const [digits = '', times = '1'] = token.split('*');
    const bytes = Buffer.from(digits, 'hex');
    if (bytes.length * 2 !== digits.length) throw new Error(`not hexadecimal: ${digits}`);
    return Buffer.concat(Array.from({ length: Number(times) }, () => bytes));
  });
  return new Uint8Array(Buffer.concat(parts));
}

/** The whole frames of these bytes, and what was wrong with the framing. */
export function framesOf(wire: Wire, bytes: Uint8Array): { frames: Frame[]; end: string | null } {
  if (wire === 'socket') {
    const frame = parseFrame(bytes);
    return 'error' in frame ? { frames: [], end: frame.error } : { frames: [frame.value], end: null };
  }
  const decoder = new LinkDecoder();
  const frames: Frame[] = [];
  decoder.push(bytes, (frame) => frames.push(frame));
  return { frames, end: decoder.end };
}

/** What a receiver makes of a frame: the broken rule, the wrong payload, or all there is to know about it. */
export function meaningOf(
  frame: Frame,
  { sender, wire, answers = 0 }: { sender: Sender; wire: Wire; answers?: number | undefined },
): ParseResult<unknown> {
  const broken = brokenRule(frame, sender, wire);
  if (broken !== undefined) return { error: broken };
  const message = parseMessage(frame, wire, answers);
  if ('error' in message) return message;
  const { type, channel, id } = frame;
  const payload = message.value ?? Buffer.from(frame.payload).toString('hex');
  return { value: { type, channel, id, payload } };
}

/** The payload as its own parser reads it; undefined where it is raw or empty. */
export function parseMessage(frame: Frame, wire: Wire, answers: number): ParseResult<unknown> {
  if (frame.type === messageTypes.Ack.code) return parseAckPayload(answers, frame.payload);
  if (frame.type === messageTypes.End.code) return parseEndPayload(answers, frame.payload);
  return parsePayload(frame.type, wire, frame.payload);
}

/** The payload in the words of the vector files: the map as the wire has it. */
export function wordsOf(frame: Frame): unknown {
  if (frame.type === messageTypes.Credit.code) return { credit: must(parseCredit(frame.payload)) };
  return inWords(must(decodeControlMap(frame.payload)));
}

export function inWords(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(inWords);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inWords(inner)]));
}

export function must<T>(result: ParseResult<T>): T {
  return 'value' in result ? result.value : assert.fail(result.error);
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCredit, parseError } from '../../protocol/control-messages.ts';
import {
  parseExecExit,
  parseExecSignal,
  parseExecStart,
  parseExecStarted,
} from '../../protocol/exec-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { brokenRule, messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { parseHello, parseWelcome } from '../../protocol/session-messages.ts';
import { packageRoot } from '../../src/package-root.ts';

type Sender = 'node' | 'guest';

export interface Vectors {
  readonly valid: readonly {
    readonly name: string;
    readonly sender: Sender;
    readonly type: number;
    readonly channel: number;
    readonly id: number;
    readonly payload: string;
    readonly message?: Readonly<Record<string, unknown>>;
    readonly hex: string;
  }[];
  readonly invalid: readonly {
    readonly name: string;
    readonly sender: Sender;
    readonly broken: 'framing' | 'rule' | 'payload';
    readonly hex: string;
  }[];
  readonly maps: readonly { readonly name: string; readonly hex: string; readonly accepted: boolean }[];
  readonly resync: readonly {
    readonly name: string;
    readonly nonce: string;
    readonly hex: string;
    readonly rest: string | null;
  }[];
}

export function readVectors(): Vectors {
  return JSON.parse(readFileSync(join(packageRoot(), 'protocol/vectors/link.json'), 'utf8'));
}

/** The notation of the vector file: hexadecimal, white space, and `hh*N`. */
export function bytesOf(hex: string): Uint8Array {
  const parts = hex.split(/\s+/).map((token) => {
    const [digits = '', times = '1'] = token.split('*');
    const bytes = Buffer.from(digits, 'hex');
    if (bytes.length * 2 !== digits.length) throw new Error(`not hexadecimal: ${digits}`);
    return Buffer.concat(Array.from({ length: Number(times) }, () => bytes));
  });
  return new Uint8Array(Buffer.concat(parts));
}

/** The payload in the words of the vector file; raw payloads have none. */
export function parseMessage(frame: Frame): ParseResult<unknown> {
  return (parsers.get(frame.type) ?? (() => ({ value: undefined })))(frame.payload);
}

/** What a receiver makes of a frame: the broken rule, the wrong payload, or all there is to know about it. */
export function meaningOf(frame: Frame, sender: Sender): ParseResult<unknown> {
  const broken = brokenRule(frame, sender === 'node' ? 'requester' : 'responder', 'link');
  if (broken !== undefined) return { error: broken };
  const message = parseMessage(frame);
  if ('error' in message) return message;
  const { type, channel, id } = frame;
  const payload = message.value ?? Buffer.from(frame.payload).toString('hex');
  return { value: { type, channel, id, payload } };
}

const parsers: ReadonlyMap<number, (payload: Uint8Array) => ParseResult<unknown>> = new Map([
  [messageTypes.Error.code, (payload) => parseError(payload)],
  [messageTypes.Ack.code, (payload) => parseExecStarted(payload)],
  [
    messageTypes.ExecStart.code,
    (payload) =>
      as(parseExecStart(payload), ({ timeoutMs, ...rest }) => ({
        ...rest,
        ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
      })),
  ],
  [
    messageTypes.ExecExit.code,
    (payload) =>
      as(parseExecExit(payload), (exit) => ({
        ...(exit.exitCode === null ? {} : { exit_code: exit.exitCode }),
        ...(exit.signal === null ? {} : { signal: exit.signal }),
        timed_out: exit.timedOut,
        duration_us: exit.durationUs,
      })),
  ],
  [messageTypes.ExecSignal.code, (payload) => as(parseExecSignal(payload), (signal) => ({ signal }))],
  [
    messageTypes.Hello.code,
    (payload) =>
      as(parseHello(payload), ({ nonce, window }) => ({ version: 1, nonce: hexOf(nonce), window })),
  ],
  [
    messageTypes.Welcome.code,
    (payload) =>
      as(parseWelcome(payload), ({ nonce, window, pid, uid, channelsMax }) => ({
        version: 1,
        nonce: hexOf(nonce),
        window,
        pid,
        uid,
        channels_max: channelsMax,
      })),
  ],
  [messageTypes.Credit.code, (payload) => as(parseCredit(payload), (credit) => ({ credit }))],
] satisfies [number, (payload: Uint8Array) => ParseResult<unknown>][]);

function as<T>(result: ParseResult<T>, describe: (value: T) => object): ParseResult<object> {
  return 'error' in result ? result : { value: describe(result.value) };
}

function hexOf(bytes: Uint8Array): { bytes: string } {
  return { bytes: Buffer.from(bytes).toString('hex') };
}

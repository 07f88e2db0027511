import type { Frame } from './frame.ts';

/**
 * Every message of protocol/README.md section 2, as data: its code, who may send it, on which channel, and what its
 * payload is. Both ends check a frame against this table before they look inside it.
 */
export interface MessageRule {
  readonly code: number;
  readonly from: 'node' | 'guest' | 'both';
  /** `control` is channel 0, `exec` any other, `any` the channel of the request it answers. */
  readonly channel: 'control' | 'exec' | 'any';
  readonly payload: 'map' | 'raw' | 'u32' | 'empty';
  readonly payloadBytesMax: number;
}

/** The guest keeps one whole frame, and its private memory has to stay under 1 MB. */
export const payloadBytesMax = 65_536;
/** An output frame of the guest: a quarter of a pipe, so that no process holds the link for long. */
export const outputFrameBytesMax = 16_384;
/** A ping carries a time or a counter; more would make the peer an echo of bulk data. */
export const pingBytesMax = 64;
/** The six known keys take about 90 bytes; the rest is room for keys of later versions. */
export const welcomeBytesMax = 1_024;

export const messageTypes = {
  Ping: { code: 0x01, from: 'both', channel: 'control', payload: 'raw', payloadBytesMax: pingBytesMax },
  Pong: { code: 0x02, from: 'both', channel: 'control', payload: 'raw', payloadBytesMax: pingBytesMax },
  Error: { code: 0x03, from: 'guest', channel: 'any', payload: 'map', payloadBytesMax },
  Ack: { code: 0x04, from: 'guest', channel: 'exec', payload: 'map', payloadBytesMax },
  ExecStart: { code: 0x20, from: 'node', channel: 'exec', payload: 'map', payloadBytesMax },
  ExecStdin: { code: 0x21, from: 'node', channel: 'exec', payload: 'raw', payloadBytesMax },
  ExecStdout: {
    code: 0x22,
    from: 'guest',
    channel: 'exec',
    payload: 'raw',
    payloadBytesMax: outputFrameBytesMax,
  },
  ExecStderr: {
    code: 0x23,
    from: 'guest',
    channel: 'exec',
    payload: 'raw',
    payloadBytesMax: outputFrameBytesMax,
  },
  ExecExit: { code: 0x24, from: 'guest', channel: 'exec', payload: 'map', payloadBytesMax },
  ExecSignal: { code: 0x25, from: 'node', channel: 'exec', payload: 'map', payloadBytesMax },
  Hello: { code: 0x60, from: 'node', channel: 'control', payload: 'map', payloadBytesMax },
  Welcome: {
    code: 0x61,
    from: 'guest',
    channel: 'control',
    payload: 'map',
    payloadBytesMax: welcomeBytesMax,
  },
  Credit: { code: 0x62, from: 'both', channel: 'exec', payload: 'u32', payloadBytesMax: 4 },
  ExecStdinEof: { code: 0x63, from: 'node', channel: 'exec', payload: 'empty', payloadBytesMax: 0 },
} as const satisfies Record<string, MessageRule>;

export type MessageName = keyof typeof messageTypes;

interface NamedRule extends MessageRule {
  readonly name: string;
}

const rulesByCode: ReadonlyMap<number, NamedRule> = new Map(
  Object.entries(messageTypes).map(([name, rule]) => [rule.code, { name, ...rule }]),
);

/** For logs and tests: `ExecStart`, or `0x7f` for a code that is not in the table. */
export function messageName(code: number): string {
  return rulesByCode.get(code)?.name ?? `0x${code.toString(16).padStart(2, '0')}`;
}

/** What is wrong with this frame by the table alone, when `sender` sent it; undefined when nothing is. */
export function brokenRule(frame: Frame, sender: 'node' | 'guest'): string | undefined {
  const rule = rulesByCode.get(frame.type);
  if (rule === undefined) return `unknown type ${messageName(frame.type)}`;
  if (rule.from !== 'both' && rule.from !== sender) return `${rule.name} does not come from the ${sender}`;
  if (rule.channel === 'control' && frame.channel !== 0) return `${rule.name} outside the control channel`;
  if (rule.channel === 'exec' && frame.channel === 0) return `${rule.name} on the control channel`;
  if (frame.payload.length > rule.payloadBytesMax) {
    return `${rule.name} with a payload of ${frame.payload.length} bytes, over ${rule.payloadBytesMax}`;
  }
  if (rule.payload === 'u32' && frame.payload.length !== 4) return `${rule.name} is not four bytes long`;
  return undefined;
}

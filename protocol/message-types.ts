import type { Frame } from './frame.ts';
import { payloadBytesMax, pingBytesMax, welcomeBytesMax } from './limits.ts';

/** The end that asks (client, node) or the end that answers (node, guest). */
export type Sender = 'requester' | 'responder';
export type Wire = 'socket' | 'link';

/**
 * Every message of protocol/README.md section 2, as data: its code, who may send it, on which channel and wire, and what
 * its payload is. Both ends check a frame against this table before they look inside it.
 */
export interface MessageRule {
  readonly code: number;
  readonly from: Sender | 'both';
  /** `control` is channel 0; `new` opens one; `open` is one that is open; `any` the channel of what it answers. */
  readonly channel: 'control' | 'new' | 'open' | 'any';
  readonly wire: Wire | 'both';
  readonly payload: 'map' | 'raw' | 'u32' | 'empty';
  readonly payloadBytesMax: number;
  /** Sent by a responder, it ends the channel. */
  readonly terminal?: true;
}

const asked = { from: 'requester', wire: 'both', payload: 'map', payloadBytesMax } as const;
const opening = { ...asked, channel: 'new' } as const;
const question = { ...asked, channel: 'control' } as const;
const answered = { from: 'responder', wire: 'both', payload: 'map', payloadBytesMax } as const;
const empty = { payload: 'empty', payloadBytesMax: 0 } as const;
const ping = {
  from: 'both',
  channel: 'control',
  wire: 'both',
  payload: 'raw',
  payloadBytesMax: pingBytesMax,
} as const;

export const messageTypes = {
  Ping: { code: 0x01, ...ping },
  Pong: { code: 0x02, ...ping },
  Error: { code: 0x03, ...answered, channel: 'any', terminal: true },
  Ack: { code: 0x04, ...answered, channel: 'any' },
  ChannelClose: { code: 0x11, from: 'both', channel: 'open', wire: 'both', ...empty, terminal: true },

  ExecStart: { code: 0x20, ...opening },
  Input: { code: 0x21, ...asked, channel: 'open', payload: 'raw' },
  Output: { code: 0x22, ...answered, channel: 'open', payload: 'raw' },
  ErrorOutput: { code: 0x23, ...answered, channel: 'open', payload: 'raw' },
  ExecExit: { code: 0x24, ...answered, channel: 'open', terminal: true },
  ExecSignal: { code: 0x25, ...asked, channel: 'open' },
  ExecResize: { code: 0x26, ...asked, channel: 'open' },

  Ready: { code: 0x50, ...answered, channel: 'control', wire: 'socket' },
  LeaseNotice: { code: 0x51, ...answered, channel: 'control', wire: 'socket' },
  KeepAlive: { code: 0x52, ...question, wire: 'socket' },
  TokenRenew: { code: 0x53, ...question, wire: 'socket' },

  Hello: { code: 0x60, ...question, wire: 'link' },
  Welcome: {
    code: 0x61,
    ...answered,
    channel: 'control',
    wire: 'link',
    payloadBytesMax: welcomeBytesMax,
  },
  Credit: {
    code: 0x62,
    from: 'both',
    channel: 'open',
    wire: 'both',
    payload: 'u32',
    payloadBytesMax: 4,
  },
  InputEof: { code: 0x63, ...asked, channel: 'open', ...empty },
  ExecAttach: { code: 0x64, ...opening },
  ExecList: { code: 0x65, ...question },
  End: { code: 0x66, ...answered, channel: 'open', terminal: true },
  OutputEof: { code: 0x67, ...answered, channel: 'open', ...empty },

  FileRead: { code: 0x70, ...opening },
  FileWrite: { code: 0x71, ...opening },
  TarRead: { code: 0x72, ...opening },
  TarWrite: { code: 0x73, ...opening },
  FileList: { code: 0x74, ...opening },
  FileStat: { code: 0x75, ...opening },
  FileMkdir: { code: 0x76, ...opening },
  FileRename: { code: 0x77, ...opening },
  FileRemove: { code: 0x78, ...opening },
  FileChange: { code: 0x79, ...opening },
  FileWatch: { code: 0x7a, ...opening },

  PortList: { code: 0x80, ...question },
  PortWatch: { code: 0x81, ...opening },
  PortConnect: { code: 0x82, ...opening },
  Stats: { code: 0x83, ...question },
} as const satisfies Record<string, MessageRule>;

export type MessageName = keyof typeof messageTypes;

interface NamedRule extends MessageRule {
  readonly name: MessageName;
}

/** By code, for every frame that comes in: an array of 256 is one load where a map hashes. */
const rules: readonly (NamedRule | undefined)[] = Array.from({ length: 256 }, (_, code) => {
  for (const name of messageNames()) {
    const rule: MessageRule = messageTypes[name];
    if (rule.code === code) return { name, ...rule };
  }
  return undefined;
});

export function messageNames(): readonly MessageName[] {
  return Object.keys(messageTypes) as MessageName[];
}

export function messageRule(code: number): MessageRule | undefined {
  return rules[code];
}

/** For logs and tests: `ExecStart`, or `0x7f` for a code that is not in the table. */
export function messageName(code: number): string {
  return rules[code]?.name ?? `0x${code.toString(16).padStart(2, '0')}`;
}

/** Whether a requester opens a channel with it. */
export function opensChannel(code: number): boolean {
  return rules[code]?.channel === 'new';
}

/** Whether nothing follows it on its channel when a responder sent it. On channel 0 nothing is terminal. */
export function isTerminal(code: number): boolean {
  return rules[code]?.terminal === true;
}

/**
 * What is wrong with this frame by the table alone, when `sender` sent it over `wire`; undefined when nothing is.
 * Whether a channel is in use, and by what, is the receiver's to know.
 */
export function brokenRule(frame: Frame, sender: Sender, wire: Wire): string | undefined {
  return misplaced(frame, sender, wire) ?? oversized(frame);
}

/** The first half of `brokenRule`: type, direction, wire and channel. On the socket it is answered and no more. */
export function misplaced(frame: Frame, sender: Sender, wire: Wire): string | undefined {
  const rule = rules[frame.type];
  if (rule === undefined) return `unknown type ${messageName(frame.type)}`;
  if (rule.wire !== 'both' && rule.wire !== wire) return `${rule.name} is not spoken on the ${wire}`;
  if (rule.from !== 'both' && rule.from !== sender) return `${rule.name} does not come from the ${sender}`;
  if (rule.channel === 'control') {
    if (frame.channel !== 0) return `${rule.name} outside the control channel`;
  } else if (rule.channel !== 'any' && frame.channel === 0) {
    return `${rule.name} on the control channel`;
  }
  return undefined;
}

/** The second half: the payload's size by the table. On the socket it ends the connection. */
export function oversized(frame: Frame): string | undefined {
  const rule = rules[frame.type];
  if (rule === undefined) return undefined;
  const { length } = frame.payload;
  if (length > rule.payloadBytesMax) {
    return `${rule.name} with a payload of ${length} bytes, over ${rule.payloadBytesMax}`;
  }
  if (rule.payload === 'u32' && length !== 4) return `${rule.name} is not four bytes long`;
  return undefined;
}

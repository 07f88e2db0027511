import { type MessageName, messageTypes } from './message-types.ts';

/**
 * What may travel on a channel, by the request that opened it. The table of types says that Output belongs on an open
 * channel; this one says on which: an ErrorOutput for a file or an exit of a tunnel is as wrong as an unknown type.
 */
export interface ChannelKind {
  /** Input, InputEof, and the Credit for it. */
  readonly input: boolean;
  readonly output: boolean;
  /** ErrorOutput, ExecSignal and ExecResize, and ExecExit in place of End. */
  readonly process: boolean;
  /** OutputEof. */
  readonly outputEof: boolean;
  /** It may be answered with End at once. */
  readonly endsUnopened: boolean;
}

const nothing: ChannelKind = {
  input: false,
  output: false,
  process: false,
  outputEof: false,
  endsUnopened: false,
};
const process: ChannelKind = { ...nothing, input: true, output: true, process: true };
const download: ChannelKind = { ...nothing, output: true };
const upload: ChannelKind = { ...nothing, input: true };
const answer: ChannelKind = { ...nothing, endsUnopened: true };

type Opening = {
  [Name in MessageName]: (typeof messageTypes)[Name]['channel'] extends 'new' ? Name : never;
}[MessageName];

const kinds: Readonly<Record<Opening, ChannelKind>> = {
  ExecStart: process,
  ExecAttach: process,
  FileRead: download,
  FileWrite: upload,
  TarRead: download,
  TarWrite: upload,
  FileList: download,
  FileStat: answer,
  FileMkdir: answer,
  FileRename: answer,
  FileRemove: answer,
  FileChange: answer,
  FileWatch: download,
  PortWatch: { ...nothing, output: true },
  PortConnect: { ...nothing, input: true, output: true, outputEof: true },
};

const byCode: ReadonlyMap<number, ChannelKind> = new Map(
  Object.entries(kinds).map(([name, kind]) => [messageTypes[name as Opening].code, kind]),
);

/** Undefined for a type that opens no channel. */
export function channelKind(code: number): ChannelKind | undefined {
  return byCode.get(code);
}

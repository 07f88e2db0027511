import { parseCredit, parseError } from './control-messages.ts';
import {
  parseExecAttach,
  parseExecAttached,
  parseExecExit,
  parseExecRequest,
  parseExecResize,
  parseExecSignal,
  parseExecStart,
  parseExecStarted,
  parseProcessList,
} from './exec-messages.ts';
import {
  parseArchiveEnd,
  parseFileEntry,
  parseListEnd,
  parseMkdirEnd,
  parseRemoveEnd,
  parseTransferEnd,
} from './file-answers.ts';
import {
  parseFileChange,
  parseFileList,
  parseFileMkdir,
  parseFileRead,
  parseFileRemove,
  parseFileRename,
  parseFileStat,
  parseFileWatch,
  parseFileWrite,
  parseTarRead,
  parseTarWrite,
} from './file-requests.ts';
import { parseEmptyMap } from './map-message.ts';
import { type MessageName, messageName, messageTypes, type Wire } from './message-types.ts';
import type { ParseResult } from './parse-result.ts';
import { parsePortConnect, parsePortList, parsePortWatch } from './port-messages.ts';
import {
  parseHello,
  parseKeepAlive,
  parseLease,
  parseLeaseNotice,
  parseReady,
  parseRenewedToken,
  parseWelcome,
} from './session-messages.ts';
import { parseStats } from './stats-message.ts';

/**
 * Which parser reads which payload, as data: for whoever passes payloads on and has to know that they are what their
 * type says, without an interest in what that is. What a message means to its user is read by its own parser.
 */
export type PayloadParser = (payload: Uint8Array) => ParseResult<unknown>;

/** Messages whose payload depends on nothing but their type. */
const own: Partial<Record<MessageName, PayloadParser>> = {
  Error: parseError,
  ExecStart: parseExecStart,
  ExecExit: parseExecExit,
  ExecSignal: parseExecSignal,
  ExecResize: parseExecResize,
  Ready: parseReady,
  LeaseNotice: parseLeaseNotice,
  KeepAlive: parseKeepAlive,
  TokenRenew: parseEmptyMap,
  Hello: parseHello,
  Welcome: parseWelcome,
  Credit: parseCredit,
  ExecAttach: parseExecAttach,
  ExecList: parseEmptyMap,
  FileRead: parseFileRead,
  FileWrite: parseFileWrite,
  TarRead: parseTarRead,
  TarWrite: parseTarWrite,
  FileList: parseFileList,
  FileStat: parseFileStat,
  FileMkdir: parseFileMkdir,
  FileRename: parseFileRename,
  FileRemove: parseFileRemove,
  FileChange: parseFileChange,
  FileWatch: parseFileWatch,
  PortList: parseEmptyMap,
  PortWatch: parsePortWatch,
  PortConnect: parsePortConnect,
  Stats: parseEmptyMap,
};

/** What the Ack says, by the request that it answers. A request that is missing here is never acknowledged. */
const acks: Partial<Record<MessageName, PayloadParser>> = {
  ExecStart: parseExecStarted,
  ExecAttach: parseExecAttached,
  ExecList: parseProcessList,
  KeepAlive: parseLease,
  TokenRenew: parseRenewedToken,
  FileRead: parseFileEntry,
  FileWrite: parseEmptyMap,
  TarRead: parseFileEntry,
  TarWrite: parseEmptyMap,
  FileList: parseEmptyMap,
  FileWatch: parseEmptyMap,
  PortList: parsePortList,
  PortWatch: parseEmptyMap,
  PortConnect: parseEmptyMap,
  Stats: parseStats,
};

/** What the End says, by the request whose channel it ends. A request that is missing here is never ended so. */
const ends: Partial<Record<MessageName, PayloadParser>> = {
  FileRead: parseTransferEnd,
  FileWrite: parseTransferEnd,
  TarRead: parseArchiveEnd,
  TarWrite: parseArchiveEnd,
  FileList: parseListEnd,
  FileStat: parseFileEntry,
  FileMkdir: parseMkdirEnd,
  FileRename: parseEmptyMap,
  FileRemove: parseRemoveEnd,
  FileChange: parseFileEntry,
  PortConnect: parseEmptyMap,
};

const ownByCode = byCode(own);
const acksByCode = byCode(acks);
const endsByCode = byCode(ends);

/** Anything but Ack and End. A raw or empty payload is what its size says, which is the table's matter. */
export function parsePayload(code: number, wire: Wire, payload: Uint8Array): ParseResult<unknown> {
  if (code === messageTypes.ExecStart.code && wire === 'socket') return parseExecRequest(payload);
  return ownByCode.get(code)?.(payload) ?? { value: undefined };
}

export function parseAckPayload(requestCode: number, payload: Uint8Array): ParseResult<unknown> {
  return acksByCode.get(requestCode)?.(payload) ?? { error: `${messageName(requestCode)} gets no Ack` };
}

export function parseEndPayload(requestCode: number, payload: Uint8Array): ParseResult<unknown> {
  return endsByCode.get(requestCode)?.(payload) ?? { error: `${messageName(requestCode)} gets no End` };
}

function byCode(parsers: Partial<Record<MessageName, PayloadParser>>): ReadonlyMap<number, PayloadParser> {
  return new Map(
    Object.entries(parsers).map(([name, parser]) => [messageTypes[name as MessageName].code, parser]),
  );
}

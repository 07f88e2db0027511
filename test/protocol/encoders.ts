import { encodeCredit, encodeError, parseCredit, parseError } from '../../protocol/control-messages.ts';
import * as exec from '../../protocol/exec-messages.ts';
import * as answers from '../../protocol/file-answers.ts';
import * as files from '../../protocol/file-requests.ts';
import { emptyMap, parseEmptyMap } from '../../protocol/map-message.ts';
import { type MessageName, messageName, messageTypes, type Wire } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import * as ports from '../../protocol/port-messages.ts';
import * as session from '../../protocol/session-messages.ts';
import { encodeStats, parseStats } from '../../protocol/stats-message.ts';
import { must } from './vectors.ts';

/** Every pair of a parser and its encoder, so that a test can read a payload and write it again. */
type Rewrite = (payload: Uint8Array) => Uint8Array;

const own: Partial<Record<MessageName, Rewrite>> = {
  Error: both(parseError, encodeError),
  ExecStart: both(exec.parseExecStart, exec.encodeExecStart),
  ExecExit: both(exec.parseExecExit, exec.encodeExecExit),
  ExecSignal: both(exec.parseExecSignal, exec.encodeExecSignal),
  ExecResize: both(exec.parseExecResize, exec.encodeExecResize),
  Ready: both(session.parseReady, session.encodeReady),
  LeaseNotice: both(session.parseLeaseNotice, session.encodeLeaseNotice),
  KeepAlive: both(session.parseKeepAlive, session.encodeKeepAlive),
  TokenRenew: both(parseEmptyMap, () => emptyMap),
  Hello: both(session.parseHello, session.encodeHello),
  Welcome: both(session.parseWelcome, session.encodeWelcome),
  Credit: both(parseCredit, encodeCredit),
  ExecAttach: both(exec.parseExecAttach, exec.encodeExecAttach),
  ExecList: both(parseEmptyMap, () => emptyMap),
  FileRead: both(files.parseFileRead, files.encodeFileRead),
  FileWrite: both(files.parseFileWrite, files.encodeFileWrite),
  TarRead: both(files.parseTarRead, files.encodeTarRead),
  TarWrite: both(files.parseTarWrite, files.encodeTarWrite),
  FileList: both(files.parseFileList, files.encodeFileList),
  FileStat: both(files.parseFileStat, files.encodeFileStat),
  FileMkdir: both(files.parseFileMkdir, files.encodeFileMkdir),
  FileRename: both(files.parseFileRename, files.encodeFileRename),
  FileRemove: both(files.parseFileRemove, files.encodeFileRemove),
  FileChange: both(files.parseFileChange, files.encodeFileChange),
  FileWatch: both(files.parseFileWatch, files.encodeFileWatch),
  PortList: both(parseEmptyMap, () => emptyMap),
  PortWatch: both(ports.parsePortWatch, ports.encodePortWatch),
  PortConnect: both(ports.parsePortConnect, ports.encodePortConnect),
  Stats: both(parseEmptyMap, () => emptyMap),
};

const empty = both(parseEmptyMap, () => emptyMap);
const entry = both(answers.parseFileEntry, answers.encodeFileEntry);

const acks: Partial<Record<MessageName, Rewrite>> = {
  ExecStart: both(exec.parseExecStarted, exec.encodeExecStarted),
  ExecAttach: both(exec.parseExecAttached, exec.encodeExecAttached),
  ExecList: both(exec.parseProcessList, exec.encodeProcessList),
  KeepAlive: both(session.parseLease, session.encodeLease),
  TokenRenew: both(session.parseRenewedToken, session.encodeRenewedToken),
  FileRead: entry,
  FileWrite: empty,
  TarRead: entry,
  FileList: empty,
  FileWatch: empty,
  PortList: both(ports.parsePortList, ports.encodePortList),
  PortConnect: empty,
  Stats: both(parseStats, encodeStats),
};

const ends: Partial<Record<MessageName, Rewrite>> = {
  FileRead: both(answers.parseTransferEnd, answers.encodeTransferEnd),
  FileWrite: both(answers.parseTransferEnd, answers.encodeTransferEnd),
  TarRead: both(answers.parseArchiveEnd, answers.encodeArchiveEnd),
  TarWrite: both(answers.parseArchiveEnd, answers.encodeArchiveEnd),
  FileList: both(answers.parseListEnd, answers.encodeListEnd),
  FileStat: entry,
  FileMkdir: both(answers.parseMkdirEnd, answers.encodeMkdirEnd),
  FileRename: empty,
  FileRemove: both(answers.parseRemoveEnd, answers.encodeRemoveEnd),
  FileChange: entry,
  PortConnect: empty,
};

/** What the codec writes for what it read; undefined for a type whose payload is raw or empty. */
export function rewritten(
  { type, answers: request = 0 }: { type: number; answers?: number | undefined },
  wire: Wire,
  payload: Uint8Array,
): Uint8Array | undefined {
  if (type === messageTypes.ExecStart.code && wire === 'socket') {
    return both(exec.parseExecRequest, exec.encodeExecStart)(payload);
  }
  const table = type === messageTypes.Ack.code ? acks : type === messageTypes.End.code ? ends : own;
  const name = messageName(table === own ? type : request);
  return Object.entries(table).find(([known]) => known === name)?.[1](payload);
}

function both<T>(
  parse: (payload: Uint8Array) => ParseResult<T>,
  encode: (value: T) => Uint8Array | ParseResult<Uint8Array>,
): Rewrite {
  return (payload) => {
    const written = encode(must(parse(payload)));
    return written instanceof Uint8Array ? written : must(written);
  };
}

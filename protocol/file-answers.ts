import type { FieldReader } from './field-reader.ts';
import { modeMax, sha256Bytes } from './limits.ts';
import { encodeFixedMap, encodeMap, type Fields, parseMap, present } from './map-message.ts';
import type { ParseResult } from './parse-result.ts';
import type { WirePath } from './wire-path.ts';

/** The answers of protocol/README.md section 6: entries, what an End says, and the records of a watch. */

export const fileKinds = ['file', 'directory', 'symlink', 'fifo', 'socket', 'block', 'character'] as const;
export type FileKind = (typeof fileKinds)[number];

export interface FileEntry {
  /** The last part of the path; in a deeper list, the path below the listed directory. */
  readonly name: WirePath;
  readonly kind: FileKind;
  readonly size: number;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly uid: number;
  readonly gid: number;
  readonly user?: string;
  readonly group?: string;
  /** Of a symbolic link. */
  readonly target?: WirePath;
}

/** The End of FileRead and, always with the sum, of FileWrite. */
export interface TransferEnd {
  readonly bytes: number;
  readonly sha256?: Uint8Array;
}

/** The End of TarRead and TarWrite. */
export interface ArchiveEnd {
  readonly entries: number;
  readonly bytes: number;
}

/** The End of FileList. */
export interface ListEnd {
  readonly entries: number;
  /** The limit cut it. */
  readonly more: boolean;
}

export const watchEvents = ['created', 'modified', 'deleted', 'attributes'] as const;
export type WatchEvent = (typeof watchEvents)[number];

/** A record of FileWatch. */
export type WatchRecord =
  | { readonly overflow: true }
  | {
      /** Relative to the watched directory; empty for itself. */
      readonly path: WirePath;
      readonly event: WatchEvent;
      readonly kind?: FileKind;
    };

/** The Ack of a read, the End of FileStat and FileChange, and each record of a FileList. */
export function encodeFileEntry(entry: FileEntry): ParseResult<Uint8Array> {
  const { mtimeMs, user, group, target, ...rest } = entry;
  return encodeMap({ ...rest, mtime_ms: mtimeMs, user, group, target } satisfies Fields);
}

export function parseFileEntry(payload: Uint8Array): ParseResult<FileEntry> {
  return parseMap(payload, readEntry);
}

function readEntry(fields: FieldReader): FileEntry {
  return {
    name: fields.path('name'),
    kind: fields.choice('kind', fileKinds),
    size: fields.u64('size'),
    mode: fields.integer('mode', 0, modeMax),
    mtimeMs: fields.u64('mtime_ms'),
    uid: fields.u32('uid'),
    gid: fields.u32('gid'),
    ...present({
      user: fields.optional('user', fields.text),
      group: fields.optional('group', fields.text),
      target: fields.optional('target', fields.path),
    }),
  };
}

export function encodeTransferEnd(end: TransferEnd): Uint8Array {
  return encodeFixedMap({ bytes: end.bytes, sha256: end.sha256 });
}

export function parseTransferEnd(payload: Uint8Array): ParseResult<TransferEnd> {
  return parseMap(payload, (fields) => ({
    bytes: fields.u64('bytes'),
    ...present({ sha256: fields.optional('sha256', (key) => fields.bytes(key, sha256Bytes)) }),
  }));
}

export function encodeArchiveEnd(end: ArchiveEnd): Uint8Array {
  return encodeFixedMap({ entries: end.entries, bytes: end.bytes });
}

export function parseArchiveEnd(payload: Uint8Array): ParseResult<ArchiveEnd> {
  return parseMap(payload, (fields) => ({ entries: fields.u64('entries'), bytes: fields.u64('bytes') }));
}

export function encodeListEnd(end: ListEnd): Uint8Array {
  return encodeFixedMap({ entries: end.entries, more: end.more });
}

export function parseListEnd(payload: Uint8Array): ParseResult<ListEnd> {
  return parseMap(payload, (fields) => ({ entries: fields.u64('entries'), more: fields.boolean('more') }));
}

/** The End of FileMkdir. */
export function encodeMkdirEnd(created: boolean): Uint8Array {
  return encodeFixedMap({ created });
}

export function parseMkdirEnd(payload: Uint8Array): ParseResult<boolean> {
  return parseMap(payload, (fields) => fields.boolean('created'));
}

/** The End of FileRemove: how many entries are gone. */
export function encodeRemoveEnd(removed: number): Uint8Array {
  return encodeFixedMap({ removed });
}

export function parseRemoveEnd(payload: Uint8Array): ParseResult<number> {
  return parseMap(payload, (fields) => fields.u64('removed'));
}

export function encodeWatchRecord(record: WatchRecord): ParseResult<Uint8Array> {
  if ('overflow' in record) return encodeMap({ overflow: true });
  return encodeMap({ path: record.path, event: record.event, kind: record.kind });
}

export function parseWatchRecord(payload: Uint8Array): ParseResult<WatchRecord> {
  return parseMap(payload, (fields): WatchRecord => {
    if (fields.has('overflow')) {
      if (!fields.boolean('overflow')) fields.fail('overflow: false says nothing');
      return { overflow: true };
    }
    return {
      path: fields.pathOrEmpty('path'),
      event: fields.choice('event', watchEvents),
      ...present({ kind: fields.optional('kind', (key) => fields.choice(key, fileKinds)) }),
    };
  });
}

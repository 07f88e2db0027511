import type { FieldReader } from './field-reader.ts';
import { listedEntriesMax, modeMax, sha256Bytes, u16Max } from './limits.ts';
import { encodeMap, type Fields, parseMap, present } from './map-message.ts';
import type { ParseResult } from './parse-result.ts';
import { brokenPath, type WirePath } from './wire-path.ts';

/** The requests of protocol/README.md section 6. What is absent is the default that the section states. */

/** Keys that every request of a file has. */
export interface FileRequest {
  readonly path: WirePath;
  /** Who does it: a name or number, as in ExecStart. */
  readonly user?: string;
  /** Where a relative path begins; absolute. */
  readonly cwd?: string;
  /** The target must be this or below it, after all symbolic links; absolute. */
  readonly root?: WirePath;
  readonly window?: number;
}

export interface FileRead extends FileRequest {
  readonly offset?: number;
  readonly length?: number;
  readonly sha256?: boolean;
}

export interface FileWrite extends FileRequest {
  readonly mode?: number;
  readonly offset?: number;
  readonly append?: boolean;
  readonly parents?: boolean;
  readonly exclusive?: boolean;
  readonly sync?: boolean;
  /** Of all the bytes that follow. */
  readonly sha256?: Uint8Array;
}

export type TarRead = FileRequest;

export interface TarWrite extends FileRequest {
  readonly parents?: boolean;
}

export interface FileList extends FileRequest {
  /** The name behind which the list begins. */
  readonly after?: WirePath;
  readonly limit?: number;
  readonly depth?: number;
}

export interface FileStat extends FileRequest {
  readonly follow?: boolean;
}

export interface FileMkdir extends FileRequest {
  readonly mode?: number;
  readonly parents?: boolean;
}

export interface FileRename extends FileRequest {
  readonly to: WirePath;
  readonly replace?: boolean;
}

export interface FileRemove extends FileRequest {
  readonly recursive?: boolean;
}

export interface FileChange extends FileRequest {
  readonly mode?: number;
  /** As `user`: a name or number, optionally with a group. */
  readonly owner?: string;
  readonly mtimeMs?: number;
  readonly follow?: boolean;
}

export interface FileWatch extends FileRequest {
  readonly recursive?: boolean;
}

export function encodeFileRead(request: FileRead): ParseResult<Uint8Array> {
  const { offset, length, sha256 } = request;
  return encodeRequest(request, { offset, length, sha256 });
}

export function parseFileRead(payload: Uint8Array): ParseResult<FileRead> {
  return parseRequest(payload, (fields) => ({
    offset: fields.optional('offset', fields.u64),
    length: fields.optional('length', fields.u64),
    sha256: fields.optional('sha256', fields.boolean),
  }));
}

export function encodeFileWrite(request: FileWrite): ParseResult<Uint8Array> {
  const { mode, offset, append, parents, exclusive, sync, sha256 } = request;
  return encodeRequest(request, { mode, offset, append, parents, exclusive, sync, sha256 });
}

export function parseFileWrite(payload: Uint8Array): ParseResult<FileWrite> {
  return parseRequest(payload, (fields) => ({
    mode: readMode(fields),
    offset: fields.optional('offset', fields.u64),
    append: fields.optional('append', fields.boolean),
    parents: fields.optional('parents', fields.boolean),
    exclusive: fields.optional('exclusive', fields.boolean),
    sync: fields.optional('sync', fields.boolean),
    sha256: fields.optional('sha256', (key) => fields.bytes(key, sha256Bytes)),
  }));
}

export function encodeTarRead(request: TarRead): ParseResult<Uint8Array> {
  return encodeRequest(request, {});
}

export function parseTarRead(payload: Uint8Array): ParseResult<TarRead> {
  return parseRequest(payload, () => ({}));
}

export function encodeTarWrite(request: TarWrite): ParseResult<Uint8Array> {
  return encodeRequest(request, { parents: request.parents });
}

export function parseTarWrite(payload: Uint8Array): ParseResult<TarWrite> {
  return parseRequest(payload, (fields) => ({ parents: fields.optional('parents', fields.boolean) }));
}

export function encodeFileList(request: FileList): ParseResult<Uint8Array> {
  const { after, limit, depth } = request;
  return encodeRequest(request, { after, limit, depth });
}

export function parseFileList(payload: Uint8Array): ParseResult<FileList> {
  return parseRequest(payload, (fields) => {
    const after = fields.optional('after', fields.path);
    const depth = fields.optional('depth', (key) => fields.integer(key, 1, u16Max));
    if (after !== undefined && (depth ?? 1) > 1) fields.fail('after: not with a depth over 1');
    return {
      after,
      limit: fields.optional('limit', (key) => fields.integer(key, 1, listedEntriesMax)),
      depth,
    };
  });
}

export function encodeFileStat(request: FileStat): ParseResult<Uint8Array> {
  return encodeRequest(request, { follow: request.follow });
}

export function parseFileStat(payload: Uint8Array): ParseResult<FileStat> {
  return parseRequest(payload, (fields) => ({ follow: fields.optional('follow', fields.boolean) }));
}

export function encodeFileMkdir(request: FileMkdir): ParseResult<Uint8Array> {
  return encodeRequest(request, { mode: request.mode, parents: request.parents });
}

export function parseFileMkdir(payload: Uint8Array): ParseResult<FileMkdir> {
  return parseRequest(payload, (fields) => ({
    mode: readMode(fields),
    parents: fields.optional('parents', fields.boolean),
  }));
}

export function encodeFileRename(request: FileRename): ParseResult<Uint8Array> {
  return encodeRequest(request, { to: request.to, replace: request.replace });
}

export function parseFileRename(payload: Uint8Array): ParseResult<FileRename> {
  return parseMap(payload, (fields) => ({
    ...readTarget(fields),
    to: fields.path('to'),
    ...present({ replace: fields.optional('replace', fields.boolean) }),
  }));
}

export function encodeFileRemove(request: FileRemove): ParseResult<Uint8Array> {
  return encodeRequest(request, { recursive: request.recursive });
}

export function parseFileRemove(payload: Uint8Array): ParseResult<FileRemove> {
  return parseRequest(payload, (fields) => ({ recursive: fields.optional('recursive', fields.boolean) }));
}

export function encodeFileChange(request: FileChange): ParseResult<Uint8Array> {
  const { mode, owner, mtimeMs, follow } = request;
  return encodeRequest(request, { mode, owner, mtime_ms: mtimeMs, follow });
}

export function parseFileChange(payload: Uint8Array): ParseResult<FileChange> {
  return parseRequest(payload, (fields) => ({
    mode: readMode(fields),
    owner: fields.optional('owner', fields.text),
    mtimeMs: fields.optional('mtime_ms', fields.u64),
    follow: fields.optional('follow', fields.boolean),
  }));
}

export function encodeFileWatch(request: FileWatch): ParseResult<Uint8Array> {
  return encodeRequest(request, { recursive: request.recursive });
}

export function parseFileWatch(payload: Uint8Array): ParseResult<FileWatch> {
  return parseRequest(payload, (fields) => ({ recursive: fields.optional('recursive', fields.boolean) }));
}

/** Fails on a path that no file can have, before anybody is asked. */
function encodeRequest(request: FileRequest, own: OwnFields): ParseResult<Uint8Array> {
  const { path, user, cwd, root, window } = request;
  for (const [key, value] of Object.entries({ path, root, to: own.to, after: own.after })) {
    const broken = value === undefined ? undefined : brokenPath(value);
    if (broken !== undefined) return { error: `${key}: ${broken}` };
  }
  return encodeMap({ path, user, cwd, root, window, ...own });
}

type OwnFields = Fields & { readonly to?: WirePath | undefined; readonly after?: WirePath | undefined };

function parseRequest<T extends object>(payload: Uint8Array, read: (fields: FieldReader) => T) {
  return parseMap(payload, (fields) => ({ ...readTarget(fields), ...present(read(fields)) }));
}

function readTarget(fields: FieldReader): FileRequest {
  return {
    path: fields.path('path'),
    ...present({
      user: fields.optional('user', fields.text),
      cwd: fields.optional('cwd', fields.text),
      root: fields.optional('root', fields.path),
      window: fields.optional('window', fields.window),
    }),
  };
}

function readMode(fields: FieldReader): number | undefined {
  return fields.optional('mode', (key) => fields.integer(key, 0, modeMax));
}

import { bytesOfPath, pathOfBytes } from '../../protocol/wire-path.ts';
import type { SandboxSession } from '../allocator/api.ts';
import type { ChangeFile, MakeDirectory } from '../operations/change-files.ts';
import type { ListFiles } from '../operations/list-files.ts';
import type { FilePath } from '../operations/operation-options.ts';
import type { ReadFile } from '../operations/read-file.ts';
import type { WriteFile } from '../operations/write-file.ts';
import type { ChangeRequest__Output } from './gen/warmpool/v1/ChangeRequest.ts';
import type { ListDirRequest__Output } from './gen/warmpool/v1/ListDirRequest.ts';
import type { MakeDirRequest__Output } from './gen/warmpool/v1/MakeDirRequest.ts';
import type { ReadFileRequest__Output } from './gen/warmpool/v1/ReadFileRequest.ts';
import type { RenameRequest__Output } from './gen/warmpool/v1/RenameRequest.ts';
import type { WriteFileHeader__Output } from './gen/warmpool/v1/WriteFileHeader.ts';
import { RequestFields } from './request-fields.ts';

/** Where a file request acts: the five fields that all of them have. */
export interface FilePlace {
  readonly sandboxId: string;
  readonly path: FilePath;
  readonly user?: string;
  readonly cwd?: string;
}

export interface WirePlace {
  readonly sandboxId: string;
  readonly path: string;
  readonly pathBytes: Uint8Array;
  readonly user: string;
  readonly cwd: string;
}

/** The request as the guest takes it: with whom and where from filled in by the session. */
export function completed<T extends FilePlace>(session: SandboxSession, request: T) {
  const { sandboxId: _, user, cwd, ...rest } = request;
  const place = { ...(user !== undefined && { user }), ...(cwd !== undefined && { cwd }) };
  return { ...rest, ...session.completeFiles(place) };
}

export function parsePlace(wire: WirePlace): FilePlace {
  const fields = new RequestFields();
  const place = readPlace(fields, wire);
  fields.done();
  return place;
}

export function parseReadFile(wire: ReadFileRequest__Output): FilePlace & ReadFile {
  const fields = new RequestFields();
  const request = {
    ...readPlace(fields, wire),
    offset: count(fields, 'offset', wire.offset),
    ...(wire.length !== undefined && { length: count(fields, 'length', wire.length) }),
    ...(wire.sha256 && { sha256: true }),
  };
  fields.done();
  return request;
}

export function parseWriteFile(wire: WriteFileHeader__Output): FilePlace & WriteFile {
  const fields = new RequestFields();
  const place = readPlace(fields, wire);
  if (wire.append && wire.offset !== undefined) fields.violation('offset', 'does not go with append');
  if (wire.sha256.length > 0 && wire.sha256.length !== sha256Bytes) {
    fields.violation('sha256', `must be ${sha256Bytes} bytes`);
  }
  const request = {
    ...place,
    ...readMode(fields, wire.mode),
    ...(wire.offset !== undefined && { offset: count(fields, 'offset', wire.offset) }),
    ...(wire.append && { append: true }),
    ...(wire.parents && { parents: true }),
    ...(wire.exclusive && { exclusive: true }),
    ...(wire.sync && { sync: true }),
    ...(wire.sha256.length > 0 && { sha256: wire.sha256 }),
  };
  fields.done();
  return request;
}

export function parseListDir(wire: ListDirRequest__Output): FilePlace & ListFiles & { limit: number } {
  const fields = new RequestFields();
  const place = readPlace(fields, wire);
  const { pageSize } = wire;
  if (pageSize < 0 || pageSize > pageSizeMax) {
    fields.violation('page_size', `must be 1 to ${pageSizeMax}; 0 means ${pageSizeDefault}`);
  }
  const after = parsePageToken(fields, wire.pageToken);
  fields.done();
  return { ...place, limit: pageSize || pageSizeDefault, ...(after !== undefined && { after }) };
}

/** The name that a page ended with: it stays good when files come and go. */
export function formatPageToken(lastName: FilePath): string {
  return Buffer.from(bytesOfPath(lastName)).toString('base64url');
}

export function parseMakeDir(wire: MakeDirRequest__Output): FilePlace & MakeDirectory {
  const fields = new RequestFields();
  const request = {
    ...readPlace(fields, wire),
    ...readMode(fields, wire.mode),
    ...(wire.parents && { parents: true }),
  };
  fields.done();
  return request;
}

export function parseRename(wire: RenameRequest__Output): FilePlace & { to: FilePath; replace: boolean } {
  const fields = new RequestFields();
  const place = readPlace(fields, wire);
  const to = readPath(fields, 'to', wire.to, wire.toBytes);
  fields.done();
  return { ...place, to, replace: !wire.noReplace };
}

export function parseChange(wire: ChangeRequest__Output): FilePlace & ChangeFile {
  const fields = new RequestFields();
  const place = readPlace(fields, wire);
  const { modifiedAt } = wire;
  const mtimeMs = modifiedAt && modifiedAt.seconds * 1_000 + Math.floor(modifiedAt.nanos / 1e6);
  if (mtimeMs !== null && !(Number.isSafeInteger(mtimeMs) && mtimeMs >= 0)) {
    fields.violation('modified_at', 'must be a time after 1970');
  }
  if (wire.mode === undefined && wire.owner === '' && mtimeMs === null) {
    fields.violation('mode', 'at least one of mode, owner and modified_at must be set');
  }
  bounded(fields, 'owner', wire.owner, userBytesMax);
  const request = {
    ...place,
    ...readMode(fields, wire.mode),
    ...(wire.owner !== '' && { owner: wire.owner }),
    ...(mtimeMs !== null && { mtimeMs }),
    follow: !wire.noFollow,
  };
  fields.done();
  return request;
}

function readPlace(fields: RequestFields, wire: WirePlace): FilePlace {
  const sandboxId = fields.required('sandbox_id', wire.sandboxId);
  const path = readPath(fields, 'path', wire.path, wire.pathBytes);
  bounded(fields, 'user', wire.user, userBytesMax);
  bounded(fields, 'cwd', wire.cwd, pathBytesMax);
  if (wire.cwd !== '' && !wire.cwd.startsWith('/')) fields.violation('cwd', 'must be an absolute path');
  return {
    sandboxId,
    path,
    ...(wire.user !== '' && { user: wire.user }),
    ...(wire.cwd !== '' && { cwd: wire.cwd }),
  };
}

/** Bytes that are valid UTF-8 after all are the same path as the text. */
function readPath(fields: RequestFields, field: string, text: string, bytes: Uint8Array): FilePath {
  const length = Buffer.byteLength(text) + bytes.length;
  if (text !== '' && bytes.length > 0)
    fields.violation(`${field}_bytes`, `does not go with ${field}: one of the two`);
  else if (length === 0) fields.violation(field, 'is required');
  else if (length > pathBytesMax) {
    fields.violation(field, `is ${length} bytes long; at most ${pathBytesMax}`);
  } else if (text.includes('\0') || bytes.includes(0)) {
    fields.violation(field, 'must not contain a NUL character');
  }
  return text === '' ? pathOfBytes(bytes) : text;
}

function readMode(fields: RequestFields, mode: number | undefined): { mode?: number } {
  if (mode === undefined) return {};
  if (mode > modeMax) fields.violation('mode', `must be 0 to ${modeMax} (0o7777)`);
  return { mode };
}

function count(fields: RequestFields, field: string, value: number): number {
  if (value < 0) fields.violation(field, 'must not be negative');
  else if (!Number.isSafeInteger(value)) fields.violation(field, 'is too big');
  return value;
}

function bounded(fields: RequestFields, field: string, text: string, bytesMax: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) fields.violation(field, `is ${bytes} bytes long; at most ${bytesMax}`);
  else if (text.includes('\0')) fields.violation(field, 'must not contain a NUL character');
}

function parsePageToken(fields: RequestFields, token: string): FilePath | undefined {
  if (token === '') return undefined;
  const name = Buffer.from(token, 'base64url');
  const isOurs = name.toString('base64url') === token && name.length <= pathBytesMax && !name.includes(0);
  if (isOurs && name.length > 0) return pathOfBytes(name);
  fields.violation('page_token', 'is not one that this service gave out');
  return undefined;
}

const pathBytesMax = 4_095;
const userBytesMax = 128;
const modeMax = 0o7777;
const sha256Bytes = 32;
const pageSizeDefault = 100;
const pageSizeMax = 1_000;

import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import {
  type FileEntry,
  parseFileEntry,
  parseMkdirEnd,
  parseRemoveEnd,
} from '../../protocol/file-answers.ts';
import {
  encodeFileChange,
  encodeFileMkdir,
  encodeFileRemove,
  encodeFileRename,
  encodeFileStat,
} from '../../protocol/file-requests.ts';
import { parseEmptyMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { askOnChannel } from './ask.ts';
import { encoded, onWire } from './encoded-request.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';

/** The requests about files that have nothing to stream. Each rejects with a ResponderError when it is refused. */

export interface StatFile extends FileScope {
  readonly path: FilePath;
  /** Absent: true. */
  readonly follow?: boolean | undefined;
}

export interface MakeDirectory extends FileScope {
  readonly path: FilePath;
  /** Absent: 0755. */
  readonly mode?: number | undefined;
  readonly parents?: boolean | undefined;
}

export interface RenameFile extends FileScope {
  readonly path: FilePath;
  readonly to: FilePath;
  /** Absent: true. */
  readonly replace?: boolean | undefined;
}

export interface RemoveFile extends FileScope {
  readonly path: FilePath;
  readonly recursive?: boolean | undefined;
}

export interface ChangeFile extends FileScope {
  readonly path: FilePath;
  readonly mode?: number | undefined;
  readonly owner?: string | undefined;
  readonly mtimeMs?: number | undefined;
  readonly follow?: boolean | undefined;
}

export async function statFile(
  opener: ChannelOpener,
  request: StatFile,
  { signal }: OperationOptions = {},
): Promise<FileEntry> {
  const payload = encoded(encodeFileStat(onWire(request)));
  return askOnChannel(opener, { type: messageTypes.FileStat.code, payload, signal }, parseFileEntry);
}

/** False when it was there already, which only `parents` allows. */
export async function makeDirectory(
  opener: ChannelOpener,
  request: MakeDirectory,
  { signal }: OperationOptions = {},
): Promise<boolean> {
  const payload = encoded(encodeFileMkdir(onWire(request)));
  return askOnChannel(opener, { type: messageTypes.FileMkdir.code, payload, signal }, parseMkdirEnd);
}

export async function renameFile(
  opener: ChannelOpener,
  request: RenameFile,
  { signal }: OperationOptions = {},
): Promise<void> {
  const payload = encoded(encodeFileRename(onWire(request)));
  await askOnChannel(opener, { type: messageTypes.FileRename.code, payload, signal }, parseEmptyMap);
}

/** How many files and directories went. */
export async function removeFile(
  opener: ChannelOpener,
  request: RemoveFile,
  { signal }: OperationOptions = {},
): Promise<number> {
  const payload = encoded(encodeFileRemove(onWire(request)));
  return askOnChannel(opener, { type: messageTypes.FileRemove.code, payload, signal }, parseRemoveEnd);
}

/** As it is afterwards. */
export async function changeFile(
  opener: ChannelOpener,
  request: ChangeFile,
  { signal }: OperationOptions = {},
): Promise<FileEntry> {
  const payload = encoded(encodeFileChange(onWire(request)));
  return askOnChannel(opener, { type: messageTypes.FileChange.code, payload, signal }, parseFileEntry);
}

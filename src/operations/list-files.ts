import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import { type FileEntry, type ListEnd, parseFileEntry, parseListEnd } from '../../protocol/file-answers.ts';
import { encodeFileList } from '../../protocol/file-requests.ts';
import { parseEmptyMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encoded, onWire } from './encoded-request.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';
import { Reading } from './reading.ts';
import { recordsOf } from './record-reading.ts';

export interface ListFiles extends FileScope {
  readonly path: FilePath;
  /** Begin behind this name. Not with a depth over 1. */
  readonly after?: FilePath | undefined;
  readonly limit?: number | undefined;
  /** Absent: 1, the directory itself. */
  readonly depth?: number | undefined;
}

export interface FileListing {
  /** Sorted by the bytes of the name. Read it once. Leaving the loop early closes the channel. */
  readonly entries: AsyncIterable<FileEntry>;
  /** Settles once the last entry has come. Never an unhandled rejection. */
  readonly end: Promise<ListEnd>;
  close(): void;
}

export type { ListEnd } from '../../protocol/file-answers.ts';

export async function listFiles(
  opener: ChannelOpener,
  request: ListFiles,
  options: OperationOptions = {},
): Promise<FileListing> {
  const payload = encoded(encodeFileList(onWire(request)));
  const { windowBytes } = request;
  const { signal } = options;
  const reading = new Reading(parseListEnd);
  const type = messageTypes.FileList.code;
  await reading.open(opener, { type, payload, windowBytes, signal }, parseEmptyMap);
  return { entries: recordsOf(reading, parseFileEntry), end: reading.end, close: () => reading.close() };
}

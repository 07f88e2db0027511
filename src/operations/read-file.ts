import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import {
  type FileEntry,
  parseFileEntry,
  parseTransferEnd,
  type TransferEnd,
} from '../../protocol/file-answers.ts';
import { encodeFileRead } from '../../protocol/file-requests.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encoded, onWire } from './encoded-request.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';
import { Reading } from './reading.ts';

export interface ReadFile extends FileScope {
  readonly path: FilePath;
  readonly offset?: number | undefined;
  /** Absent: to the end. */
  readonly length?: number | undefined;
  readonly sha256?: boolean | undefined;
}

export interface FileReading {
  /** As it was when it was opened. */
  readonly entry: FileEntry;
  /** Read it once. Leaving the loop early closes the channel. Throws what `end` rejects with. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Settles once the last byte has come. Never an unhandled rejection. */
  readonly end: Promise<ReadEnd>;
  close(): void;
}

/** The checksum is there when it was asked for. */
export type ReadEnd = TransferEnd;

/** Rejects with a ResponderError (`not_found`, …) when it cannot be opened. */
export async function readFile(
  opener: ChannelOpener,
  request: ReadFile,
  options: OperationOptions = {},
): Promise<FileReading> {
  const payload = encoded(encodeFileRead(onWire(request)));
  const { windowBytes } = request;
  const { signal } = options;
  const reading = new Reading(parseTransferEnd);
  const type = messageTypes.FileRead.code;
  const entry = await reading.open(opener, { type, payload, windowBytes, signal }, parseFileEntry);
  return { entry, bytes: reading.bytes, end: reading.end, close: () => reading.close() };
}

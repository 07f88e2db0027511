import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import {
  type ArchiveEnd,
  type FileEntry,
  parseArchiveEnd,
  parseFileEntry,
} from '../../protocol/file-answers.ts';
import { encodeTarRead, encodeTarWrite } from '../../protocol/file-requests.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encoded, onWire } from './encoded-request.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';
import { Reading } from './reading.ts';
import { type ByteSource, writeAll } from './writing.ts';

export interface ReadTar extends FileScope {
  readonly path: FilePath;
}

export interface WriteTar extends FileScope {
  /** A directory. */
  readonly path: FilePath;
  readonly parents?: boolean | undefined;
}

export interface TarReading {
  /** What is archived. */
  readonly entry: FileEntry;
  /** A pax archive. Read it once. Leaving the loop early closes the channel. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Settles once the last byte has come. Never an unhandled rejection. */
  readonly end: Promise<ArchiveEnd>;
  close(): void;
}

export type { ArchiveEnd } from '../../protocol/file-answers.ts';

export async function readTar(
  opener: ChannelOpener,
  request: ReadTar,
  options: OperationOptions = {},
): Promise<TarReading> {
  const payload = encoded(encodeTarRead(onWire(request)));
  const { windowBytes } = request;
  const { signal } = options;
  const reading = new Reading(parseArchiveEnd);
  const type = messageTypes.TarRead.code;
  const entry = await reading.open(opener, { type, payload, windowBytes, signal }, parseFileEntry);
  return { entry, bytes: reading.bytes, end: reading.end, close: () => reading.close() };
}

/** What was unpacked before a failure stays. */
export async function writeTar(
  opener: ChannelOpener,
  request: WriteTar,
  source: ByteSource,
  options: OperationOptions = {},
): Promise<ArchiveEnd> {
  const payload = encoded(encodeTarWrite(onWire(request)));
  const channel = { type: messageTypes.TarWrite.code, payload, signal: options.signal };
  return writeAll(opener, channel, source, parseArchiveEnd);
}

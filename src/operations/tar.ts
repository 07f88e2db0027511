import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { FileEntry } from './file-entry.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';
import type { ByteSource } from './write-file.ts';

export interface ReadTar extends FileScope {
  readonly path: FilePath;
}

export interface WriteTar extends FileScope {
  readonly path: FilePath;
  readonly parents?: boolean | undefined;
}

export interface TarReading {
  readonly entry: FileEntry;
  /** A pax archive. Read it once. Leaving the loop early closes the channel. */
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly end: Promise<TarEnd>;
  close(): void;
}

export interface TarEnd {
  readonly entries: number;
  readonly bytes: number;
}

export function readTar(
  opener: ChannelOpener,
  request: ReadTar,
  options?: OperationOptions,
): Promise<TarReading> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}

export function writeTar(
  opener: ChannelOpener,
  request: WriteTar,
  source: ByteSource,
  options?: OperationOptions,
): Promise<TarEnd> {
  throw new Error(`not implemented: ${opener} ${request} ${source} ${options}`);
}

import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { FileEntry } from './file-entry.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';

export interface ListFiles extends FileScope {
  readonly path: FilePath;
  /** Begin behind this name. */
  readonly after?: FilePath | undefined;
  readonly limit?: number | undefined;
  readonly depth?: number | undefined;
}

export interface FileListing {
  /** Sorted by the bytes of the name. Read it once. Leaving the loop early closes the channel. */
  readonly entries: AsyncIterable<FileEntry>;
  readonly end: Promise<ListEnd>;
  close(): void;
}

export interface ListEnd {
  readonly entries: number;
  /** `limit` cut it. */
  readonly more: boolean;
}

export function listFiles(
  opener: ChannelOpener,
  request: ListFiles,
  options?: OperationOptions,
): Promise<FileListing> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}

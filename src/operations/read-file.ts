import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { FileEntry } from './file-entry.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';

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

export interface ReadEnd {
  readonly bytes: number;
  /** Present when asked for. */
  readonly sha256?: Uint8Array;
}

/** Rejects with a ResponderError (`not_found`, …) when it cannot be opened. */
export function readFile(
  opener: ChannelOpener,
  request: ReadFile,
  options?: OperationOptions,
): Promise<FileReading> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}

import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';

export interface WriteFile extends FileScope {
  readonly path: FilePath;
  readonly mode?: number | undefined;
  /** With it or with `append` the file is written in place; without, it is replaced as a whole. */
  readonly offset?: number | undefined;
  readonly append?: boolean | undefined;
  readonly parents?: boolean | undefined;
  readonly exclusive?: boolean | undefined;
  readonly sync?: boolean | undefined;
  readonly sha256?: Uint8Array | undefined;
}

/** What is to be written. An iterable is asked for more as credit comes; when it fails or the signal aborts, the old file stays. */
export type ByteSource = Uint8Array | AsyncIterable<Uint8Array>;

export interface WriteEnd {
  readonly bytes: number;
  readonly sha256: Uint8Array;
}

export function writeFile(
  opener: ChannelOpener,
  request: WriteFile,
  source: ByteSource,
  options?: OperationOptions,
): Promise<WriteEnd> {
  throw new Error(`not implemented: ${opener} ${request} ${source} ${options}`);
}

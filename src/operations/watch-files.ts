import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { FileKind } from './file-entry.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';

export interface WatchFiles extends FileScope {
  readonly path: FilePath;
  readonly recursive?: boolean | undefined;
}

export type FileEvent =
  | {
      readonly event: 'created' | 'modified' | 'deleted' | 'attributes';
      /** From the watched directory; empty for itself. */
      readonly path: FilePath;
      readonly kind?: FileKind;
    }
  /** Events were lost: look for yourself. */
  | { readonly event: 'overflow' };

export interface FileWatch {
  /** Read it once. Ends after `close`; leaving the loop closes. */
  readonly events: AsyncIterable<FileEvent>;
  close(): void;
}

/** Settles once the watch is on: what changes after that is told. */
export function watchFiles(
  opener: ChannelOpener,
  request: WatchFiles,
  options?: OperationOptions,
): Promise<FileWatch> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}

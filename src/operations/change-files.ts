import type { ChannelOpener } from '../../protocol/channel-opener.ts';
import type { FileEntry } from './file-entry.ts';
import type { FilePath, FileScope, OperationOptions } from './operation-options.ts';

export interface StatFile extends FileScope {
  readonly path: FilePath;
  /** Absent: true. */
  readonly follow?: boolean | undefined;
}

export interface MakeDirectory extends FileScope {
  readonly path: FilePath;
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

export function statFile(
  opener: ChannelOpener,
  request: StatFile,
  options?: OperationOptions,
): Promise<FileEntry> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}

/** False when it was there already (with `parents`). */
export function makeDirectory(
  opener: ChannelOpener,
  request: MakeDirectory,
  options?: OperationOptions,
): Promise<boolean> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}

export function renameFile(
  opener: ChannelOpener,
  request: RenameFile,
  options?: OperationOptions,
): Promise<void> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}

/** How many files and directories went. */
export function removeFile(
  opener: ChannelOpener,
  request: RemoveFile,
  options?: OperationOptions,
): Promise<number> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}

export function changeFile(
  opener: ChannelOpener,
  request: ChangeFile,
  options?: OperationOptions,
): Promise<FileEntry> {
  throw new Error(`not implemented: ${opener} ${request} ${options}`);
}

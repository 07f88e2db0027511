import type { FilePath } from './operation-options.ts';

export interface FileEntry {
  /** The last part of the path; below a listed directory, the path from there. */
  readonly name: FilePath;
  readonly kind: FileKind;
  readonly size: number;
  /** The low 12 bits. */
  readonly mode: number;
  readonly mtimeMs: number;
  readonly uid: number;
  readonly gid: number;
  readonly user?: string;
  readonly group?: string;
  /** Of a symbolic link. */
  readonly target?: FilePath;
}

export type FileKind = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'block' | 'character';

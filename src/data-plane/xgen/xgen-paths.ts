import { posix } from 'node:path';
import type { ParseResult } from '../../../protocol/parse-result.ts';

/** Where this dialect's files are, and where its commands start. */
export const workspaceHome = '/home/sandbox';
export const workspaceRoot = `${workspaceHome}/workspace`;

export interface WorkspacePath {
  readonly absolute: string;
  /** What a client is told: from the workspace root, which itself is `.`. */
  readonly shown: string;
}

/**
 * Where a client's path lies. A leading `/` does not leave the workspace, and a path that names the workspace in full is
 * taken as it is. This is about words only: what symbolic links do is decided where the file is opened, by `root`.
 */
export function parseWorkspacePath(path: string): ParseResult<WorkspacePath> {
  if (path.includes('\0')) return { error: 'a path with a NUL' };
  const named = isInWorkspace(path) ? path : `${workspaceRoot}/${posix.normalize(path)}`;
  const absolute = withoutLastSlash(posix.normalize(named));
  if (!isInWorkspace(absolute)) return { error: `${shown(path)}: outside the workspace` };
  if (Buffer.byteLength(absolute) > pathBytesMax) return { error: `${shown(path)}: name too long` };
  return { value: { absolute, shown: posix.relative(workspaceRoot, absolute) || '.' } };
}

/** Where a command starts: a relative path is below the workspace, any other is the client's own choice. */
export function commandFolder(cwd: string): string {
  return posix.resolve(workspaceRoot, cwd);
}

/** With the slash: a bare prefix would admit `workspace-evil`. */
export function isInWorkspace(path: string): boolean {
  return path === workspaceRoot || path.startsWith(`${workspaceRoot}/`);
}

function withoutLastSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

/** A refused path in a message: short, and only what the client itself has sent. */
function shown(path: string): string {
  return path.length > 200 ? `${path.slice(0, 200)}…` : path;
}

/** What Linux takes. */
const pathBytesMax = 4_095;

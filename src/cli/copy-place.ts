import { isSandboxId } from '../domain/ids.ts';

/** One end of a copy. */
export type Place =
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'sandbox'; readonly id: string; readonly path: string };

/** `ID:path`, or a path of this machine. A local name that looks like a sandbox's is written `./ID:path`. */
export function parsePlace(text: string): Place {
  const at = text.indexOf(':');
  const id = text.slice(0, Math.max(at, 0));
  if (at < 0 || !isSandboxId(id)) return { kind: 'local', path: text };
  return { kind: 'sandbox', id, path: text.slice(at + 1) || '.' };
}

/** As `cp` has it: what is copied to a directory goes into it under its own name; `dir/.` means what is in the directory. */
export function targetIn(directory: string, source: string): string {
  const name = lastPart(source);
  if (name === '.' || name === '..' || name === '') return directory;
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}

function lastPart(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed.slice(trimmed.lastIndexOf('/') + 1);
}

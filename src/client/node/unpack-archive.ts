import { constants } from 'node:fs';
import { chmod, link, lstat, mkdir, open, rm, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { type Extract, extract, type Header } from 'tar-stream';
import { WarmpoolClientError } from '../warmpool-client-error.ts';

export interface UnpackOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called for every entry, and again with the bytes of a file as they are written. */
  readonly onBytes?: ((name: string, bytes: number) => void) | undefined;
}

/**
 * Unpacks an archive that a sandbox made into a local directory, and trusts it with nothing outside of that: names may
 * not lead out by `..`, by a leading slash, or through a symbolic link, whether the archive brought the link or it was
 * there before. Owners and the bits that give away rights are left out; devices and the like are refused.
 */
export async function unpackInto(
  directory: string,
  archive: AsyncIterable<Uint8Array>,
  options: UnpackOptions = {},
): Promise<{ readonly entries: number; readonly bytes: number }> {
  await mkdir(directory, { recursive: true });
  const unpacking = extract();
  let failure: { readonly error: unknown } | undefined;
  const feeding = feed(unpacking, archive, options.signal).catch((error: unknown) => {
    failure = { error };
    unpacking.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  const directories: { readonly path: string; readonly header: Header }[] = [];
  let entries = 0;
  let bytes = 0;
  const onBytes = (name: string, count: number) => {
    bytes += count;
    options.onBytes?.(name, count);
  };
  try {
    for await (const entry of unpacking) {
      const { header } = entry;
      const path = await safePath(directory, header.name);
      entries += 1;
      options.onBytes?.(header.name, 0);
      await unpackEntry(directory, path, { header, content: entry as AsyncIterable<Uint8Array> }, onBytes);
      if (header.type === 'directory') directories.push({ path, header });
      entry.resume();
    }
  } catch (error) {
    // A source that broke off ends the unpacking, which only says that it was ended.
    throw failure === undefined ? error : failure.error;
  }
  await feeding;
  if (failure !== undefined) throw failure.error;
  // From the inside out: what a directory allows, and when it changed, is said once nothing is written into it any more.
  for (const { path, header } of directories.reverse()) {
    if (path !== directory) await finish(path, header);
  }
  return { entries, bytes };
}

async function unpackEntry(
  directory: string,
  path: string,
  entry: { readonly header: Header; readonly content: AsyncIterable<Uint8Array> },
  onBytes: (name: string, bytes: number) => void,
): Promise<void> {
  const { header } = entry;
  if (header.type === 'directory') {
    if (path !== directory) await makeDirectory(path);
  } else if (header.type === 'file' || header.type === 'contiguous-file') {
    await writeFile(path, header, entry.content, onBytes);
  } else if (header.type === 'symlink') {
    await rm(path, { force: true });
    await symlink(header.linkname, path);
  } else if (header.type === 'link') {
    const target = await safePath(directory, header.linkname);
    if (!(await lstat(target)).isFile()) throw refused(header.name, 'a link to what is no file');
    await rm(path, { force: true });
    await link(target, path);
  } else {
    throw refused(header.name, `an entry of the kind ${header.type}`);
  }
}

async function feed(
  unpacking: Extract,
  archive: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  for await (const piece of archive) {
    signal?.throwIfAborted();
    if (unpacking.destroyed) return;
    if (!unpacking.write(piece)) await drained(unpacking);
  }
  unpacking.end(undefined);
}

/** Or closed: whoever unpacks has given up. */
function drained(unpacking: Extract): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      unpacking.off('drain', settle).off('close', settle);
      resolve();
    };
    unpacking.on('drain', settle).on('close', settle);
  });
}

/** The place of this name below the directory. Every step to it is a real directory; missing ones are made. */
async function safePath(directory: string, name: string): Promise<string> {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/') || parts.includes('..') || name.includes('\0')) {
    throw refused(name, 'a name that leads out of the directory');
  }
  const last = parts.pop();
  if (last === undefined) return directory;
  let folder = directory;
  for (const part of parts) {
    folder = join(folder, part);
    await makeDirectory(folder);
  }
  return join(folder, last);
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const there = await lstat(path).catch(() => null);
    if (there?.isDirectory()) return;
    if (there?.isSymbolicLink()) throw refused(path, 'a name that leads through a symbolic link');
    throw error;
  }
}

async function writeFile(
  path: string,
  header: Header,
  content: AsyncIterable<Uint8Array>,
  onBytes: (name: string, bytes: number) => void,
): Promise<void> {
  // A new file in place of what is there, and never through a link: the old one may have other names.
  await rm(path, { force: true });
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    for await (const piece of content) {
      await file.write(piece);
      onBytes(header.name, piece.length);
    }
    await file.chmod(header.mode & 0o777);
    await file.utimes(header.mtime, header.mtime);
  } finally {
    await file.close();
  }
}

async function finish(path: string, header: Header): Promise<void> {
  await chmod(path, header.mode & 0o777);
  await utimes(path, header.mtime, header.mtime);
}

function refused(name: string, what: string): WarmpoolClientError {
  return new WarmpoolClientError('archive_invalid', `the archive holds ${what}: ${name}`);
}

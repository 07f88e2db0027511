import { constants, type Stats } from 'node:fs';
import { lstat, open, opendir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Header, type Pack, pack } from 'tar-stream';

export interface PackedEntry {
  /** From the packed directory. */
  readonly name: string;
  readonly bytes: number;
}

type EntryHeader = Pick<Header, 'name'> & Partial<Header>;

export interface PackOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called before the bytes of each entry. */
  readonly onEntry?: ((entry: PackedEntry) => void) | undefined;
  /** Called for what an archive has no place for: sockets, FIFOs, devices. */
  readonly onSkipped?: ((name: string) => void) | undefined;
}

/** A local directory's content as a tar stream, read no faster than it is taken. Links are kept as links. */
export async function* packDirectory(
  directory: string,
  options: PackOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const archive = pack();
  const filling = fill(archive, directory, '', options).then(
    () => archive.finalize(),
    (error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  try {
    yield* inLargerPieces(archive as AsyncIterable<Uint8Array>);
    await filling;
  } finally {
    archive.destroy();
  }
}

async function fill(archive: Pack, root: string, folder: string, options: PackOptions): Promise<void> {
  const children = await opendir(join(root, folder));
  for await (const child of children) {
    options.signal?.throwIfAborted();
    const name = folder === '' ? child.name : `${folder}/${child.name}`;
    const path = join(root, name);
    const stats = await lstat(path);
    const header = { name, mode: stats.mode & 0o777, mtime: stats.mtime };
    if (stats.isDirectory()) {
      await addEntry(archive, { ...header, type: 'directory' }, options);
      await fill(archive, root, name, options);
    } else if (stats.isSymbolicLink()) {
      await addEntry(archive, { ...header, type: 'symlink', linkname: await readlink(path) }, options);
    } else if (stats.isFile()) {
      await addFile(archive, { ...header, type: 'file' }, path, options);
    } else {
      options.onSkipped?.(name);
    }
  }
}

function addEntry(archive: Pack, header: EntryHeader, options: PackOptions): Promise<void> {
  options.onEntry?.({ name: header.name, bytes: 0 });
  return new Promise((resolve, reject) => {
    archive.entry(header, (error) => (error ? reject(error) : resolve()));
  });
}

/** An archive says the size first: a file that grows meanwhile is cut there, one that shrinks is an error. */
async function addFile(
  archive: Pack,
  header: EntryHeader,
  path: string,
  options: PackOptions,
): Promise<void> {
  await using file = await opened(path);
  const { size }: Stats = await file.handle.stat();
  options.onEntry?.({ name: header.name, bytes: size });
  const done = new Promise<void>((resolve, reject) => {
    const entry = archive.entry({ ...header, size }, (error) => (error ? reject(error) : resolve()));
    void copyInto(entry, file.handle, size).catch((error: unknown) => {
      entry.destroy();
      reject(error);
    });
  });
  await done;
}

async function opened(path: string) {
  // What was a file a moment ago may be a link now.
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  return { handle, [Symbol.asyncDispose]: () => handle.close() };
}

async function copyInto(
  entry: ReturnType<Pack['entry']>,
  handle: Awaited<ReturnType<typeof open>>,
  size: number,
): Promise<void> {
  for (let at = 0; at < size; ) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(Math.min(pieceBytes, size - at)), 0);
    if (bytesRead === 0) throw new Error('a file became shorter while it was read');
    at += bytesRead;
    if (!entry.write(buffer.subarray(0, bytesRead))) {
      await new Promise<void>((resolve) => entry.once('drain', resolve));
    }
  }
  entry.end(undefined);
}

/** Headers are half a kilobyte each: a directory of small files would be sent in as many messages. */
async function* inLargerPieces(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let waiting: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    waiting.push(piece);
    length += piece.length;
    if (length < pieceBytes) continue;
    yield Buffer.concat(waiting, length);
    waiting = [];
    length = 0;
  }
  if (length > 0) yield Buffer.concat(waiting, length);
}

/** As large as a message may be. */
const pieceBytes = 65_536;

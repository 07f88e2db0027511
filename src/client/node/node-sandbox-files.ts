import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type { FilePath, FileScope } from '../../operations/operation-options.ts';
import type { DataConnection } from '../connection.ts';
import { type AbortOptions, type ReadOptions, SandboxFiles } from '../sandbox-files.ts';
import { packDirectory } from './local-archive.ts';
import { unpackInto } from './unpack-archive.ts';

export interface TransferOptions extends AbortOptions {
  /** Called as it goes on. */
  readonly onProgress?: ((progress: TransferProgress) => void) | undefined;
}

export interface TransferProgress {
  /** Bytes of files so far. */
  readonly bytes: number;
  /** Of how many, where that is known before: for one file. */
  readonly bytesTotal?: number;
  /** The entry that is under way. */
  readonly name: string;
}

export interface Transferred {
  /** Bytes of files. */
  readonly bytes: number;
  /** Files, directories and links. */
  readonly entries: number;
  /** What an archive has no place for: sockets, FIFOs, devices. */
  readonly skipped: readonly string[];
}

/** In Node the files of a sandbox can also be streams of Node, and be copied from and to the local disk. */
export class NodeSandboxFiles extends SandboxFiles {
  readonly #connection: DataConnection;
  readonly #scope: FileScope;

  constructor(connection: DataConnection, scope: FileScope = {}) {
    super(connection, scope);
    this.#connection = connection;
    this.#scope = scope;
  }

  override within(scope: Pick<FileScope, 'user' | 'cwd' | 'root'>): NodeSandboxFiles {
    return new NodeSandboxFiles(this.#connection, { ...this.#scope, ...scope });
  }

  /** As a stream of Node. Failing to open is its `error`. */
  createReadStream(path: FilePath, options: ReadOptions = {}): Readable {
    return Readable.from(this.#pieces(path, options), { objectMode: false });
  }

  /** Copies a local file to the file `to`, or the content of a local directory into the directory `to`, which is made. */
  async upload(from: string, to: FilePath, options: TransferOptions = {}): Promise<Transferred> {
    const { signal } = options;
    const stats = await stat(from);
    if (!stats.isDirectory()) return await this.#uploadFile(from, to, stats, options);
    await this.mkdir(to, { parents: true, signal });
    const skipped: string[] = [];
    let bytes = 0;
    const archive = packDirectory(from, {
      signal,
      onEntry: (entry) => {
        options.onProgress?.({ bytes, name: entry.name });
        bytes += entry.bytes;
      },
      onSkipped: (name) => skipped.push(name),
    });
    const { entries } = await this.writeTar(to, archive, { signal });
    return { bytes, entries, skipped };
  }

  /** Copies a file of the sandbox to the local file `to`, or a directory's content into the local directory `to`, which is made. */
  async download(from: FilePath, to: string, options: TransferOptions = {}): Promise<Transferred> {
    const { signal } = options;
    const entry = await this.stat(from, { signal });
    if (entry.kind !== 'directory') return await this.#downloadFile(from, to, entry, options);
    let sofar = 0;
    const archive = await this.readTar(from, { signal });
    const unpacked = await unpackInto(to, archive, {
      signal,
      onBytes: (name, bytes) => {
        sofar += bytes;
        options.onProgress?.({ bytes: sofar, name });
      },
    });
    return { ...unpacked, skipped: [] };
  }

  async #uploadFile(
    from: string,
    to: FilePath,
    stats: { readonly size: number; readonly mode: number },
    options: TransferOptions,
  ): Promise<Transferred> {
    const name = basename(from);
    const onBytes = (bytes: number) => options.onProgress?.({ bytes, bytesTotal: stats.size, name });
    const source = counted(createReadStream(from, { highWaterMark: pieceBytes }), onBytes);
    const { signal } = options;
    const written = await this.write(to, source, { mode: stats.mode & 0o777, parents: true, signal });
    return { bytes: written.bytes, entries: 1, skipped: [] };
  }

  /** Under a name of its own until it is whole: what was there stays if this fails. */
  async #downloadFile(
    from: FilePath,
    to: string,
    entry: { readonly size: number; readonly mode: number },
    options: TransferOptions,
  ): Promise<Transferred> {
    await mkdir(dirname(to), { recursive: true });
    const partial = join(dirname(to), `.${basename(to)}.${process.pid}.partial`);
    let bytes = 0;
    try {
      const file = await open(partial, 'wx', entry.mode & 0o777);
      try {
        for await (const piece of this.#pieces(from, { signal: options.signal })) {
          await file.write(piece);
          bytes += piece.length;
          options.onProgress?.({ bytes, bytesTotal: entry.size, name: basename(to) });
        }
      } finally {
        await file.close();
      }
      await rename(partial, to);
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
    return { bytes, entries: 1, skipped: [] };
  }

  async *#pieces(path: FilePath, options: ReadOptions): AsyncGenerator<Uint8Array, void> {
    const reader = (await this.readStream(path, options)).getReader();
    let isRead = false;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        yield value;
      }
      isRead = true;
    } finally {
      if (!isRead) await reader.cancel().catch(() => {});
    }
  }
}

async function* counted(
  pieces: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void> {
  let bytes = 0;
  for await (const piece of pieces) {
    yield piece;
    bytes += piece.length;
    onBytes(bytes);
  }
}

/** As large as a message may be. */
const pieceBytes = 65_536;

import {
  type ChangeFile,
  changeFile,
  makeDirectory,
  removeFile,
  renameFile,
  statFile,
} from '../operations/change-files.ts';
import type { FileEntry } from '../operations/file-entry.ts';
import { listFiles } from '../operations/list-files.ts';
import type { FilePath, FileScope } from '../operations/operation-options.ts';
import { type FileReading, readFile } from '../operations/read-file.ts';
import { type ArchiveEnd, readTar, writeTar } from '../operations/tar.ts';
import { type FileEvent, watchFiles } from '../operations/watch-files.ts';
import { writeFile } from '../operations/write-file.ts';
import { type ByteInput, byteSource, collect, readableStream, toHex } from './byte-streams.ts';
import { call, translatedSequence } from './client-call.ts';
import type { DataConnection } from './connection.ts';
import { WarmpoolClientError } from './warmpool-client-error.ts';

export interface AbortOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface ReadOptions extends AbortOptions {
  /** In bytes, from 0. */
  readonly offset?: number | undefined;
  /** In bytes. Absent: to the end. */
  readonly length?: number | undefined;
}

export interface WriteOptions extends AbortOptions {
  /** The low 12 bits. Absent: that of the replaced file, else 0644. */
  readonly mode?: number | undefined;
  /** Write in place from here, instead of replacing the file as a whole. */
  readonly offset?: number | undefined;
  readonly append?: boolean | undefined;
  /** Make the directories that are missing. */
  readonly parents?: boolean | undefined;
  /** Refuse a file that exists (`exists`). */
  readonly exclusive?: boolean | undefined;
  /** To disk, before it counts as written. */
  readonly sync?: boolean | undefined;
}

export interface Written {
  readonly bytes: number;
  /** Of the bytes written, in hexadecimal: what the sandbox has, not what was sent. */
  readonly sha256: string;
}

export interface ListOptions extends AbortOptions {
  /** 1: the directory itself. More: what is below, parents first. */
  readonly depth?: number | undefined;
  /** Default 100,000; more is `too_large`. See `entries` for any number. */
  readonly limit?: number | undefined;
}

export interface FileWatching extends AsyncIterable<FileEvent> {
  /** Ends it; the loop over it ends too. */
  close(): void;
}

/**
 * The files of a sandbox. Paths are absolute, or start in the working directory of the claim; a name that is not valid
 * UTF-8 is a Uint8Array. Every method rejects with a WarmpoolClientError: `not_found`, `permission_denied`, `is_directory`,
 * `not_directory`, `exists`, `no_space`, … (protocol/README.md section 9), or with the reason of its signal.
 */
export class SandboxFiles {
  readonly #connection: DataConnection;
  readonly #scope: FileScope;

  constructor(connection: DataConnection, scope: FileScope = {}) {
    this.#connection = connection;
    this.#scope = scope;
  }

  /** The same files as somebody else, from another directory, or within one: `files.within({ root: '/work' })`. */
  within(scope: Pick<FileScope, 'user' | 'cwd' | 'root'>): SandboxFiles {
    return new SandboxFiles(this.#connection, { ...this.#scope, ...scope });
  }

  /** A whole file, or a part of one. More than `bytesMax` (default 64 MiB) is `too_large`: take `readStream`. */
  async read(
    path: FilePath,
    options: ReadOptions & { readonly bytesMax?: number } = {},
  ): Promise<Uint8Array> {
    const { bytesMax = readBytesMaxDefault } = options;
    const { bytes } = await this.#open(path, options);
    return await collect(translatedSequence(bytes), bytesMax, () => {
      return new WarmpoolClientError(
        'too_large',
        `the file has more than ${bytesMax} bytes: read it as a stream`,
      );
    });
  }

  /** As UTF-8; what is none becomes U+FFFD. */
  async readText(
    path: FilePath,
    options: ReadOptions & { readonly bytesMax?: number } = {},
  ): Promise<string> {
    return new TextDecoder().decode(await this.read(path, options));
  }

  /** Piece by piece, no faster than it is read. Settles when the file is open. */
  async readStream(path: FilePath, options: ReadOptions = {}): Promise<ReadableStream<Uint8Array>> {
    return readableStream(translatedSequence((await this.#open(path, options)).bytes));
  }

  /**
   * Writes text, bytes, a Blob, a stream of the web or of Node, or any async iterable. Unless `offset` or `append` is
   * given the file is replaced as a whole: a reader sees the old bytes or all the new ones, and a failure changes nothing.
   */
  async write(path: FilePath, input: ByteInput, options: WriteOptions = {}): Promise<Written> {
    const { signal, ...choices } = options;
    const request = { ...this.#scope, ...choices, path };
    const written = await this.#call(signal, () =>
      writeFile(this.#connection, request, byteSource(input), { signal }),
    );
    return { bytes: written.bytes, sha256: toHex(written.sha256) };
  }

  /** Of the target of a symbolic link, unless `follow` is false. */
  stat(path: FilePath, options: AbortOptions & { readonly follow?: boolean } = {}): Promise<FileEntry> {
    const { signal, follow } = options;
    return this.#call(signal, () => statFile(this.#connection, { ...this.#scope, path, follow }, { signal }));
  }

  async exists(path: FilePath, options: AbortOptions = {}): Promise<boolean> {
    try {
      await this.stat(path, { ...options, follow: false });
      return true;
    } catch (error) {
      if (error instanceof WarmpoolClientError && isAbsence.has(error.code)) return false;
      throw error;
    }
  }

  /** Sorted by the bytes of the name. Symbolic links are not followed. */
  async list(path: FilePath, options: ListOptions = {}): Promise<readonly FileEntry[]> {
    const { limit = listLimitDefault } = options;
    const found: FileEntry[] = [];
    for await (const entry of this.entries(path, { ...options, limit: limit + 1 })) found.push(entry);
    if (found.length <= limit) return found;
    throw new WarmpoolClientError('too_large', `there are more than ${limit} entries`);
  }

  /** The same one by one, as they come. */
  async *entries(path: FilePath, options: ListOptions = {}): AsyncGenerator<FileEntry, void> {
    const { signal, ...choices } = options;
    const request = { ...this.#scope, ...choices, path };
    const { entries } = await this.#call(signal, () => listFiles(this.#connection, request, { signal }));
    yield* translatedSequence(entries);
  }

  /** False when it was there already, which is fine with `parents`. */
  mkdir(
    path: FilePath,
    options: AbortOptions & { readonly mode?: number; readonly parents?: boolean } = {},
  ): Promise<boolean> {
    const { signal, ...choices } = options;
    const request = { ...this.#scope, ...choices, path };
    return this.#call(signal, () => makeDirectory(this.#connection, request, { signal }));
  }

  /** Replaces what is there, unless `replace` is false (`exists`). */
  rename(
    path: FilePath,
    to: FilePath,
    options: AbortOptions & { readonly replace?: boolean } = {},
  ): Promise<void> {
    const { signal, replace } = options;
    const request = { ...this.#scope, path, to, replace };
    return this.#call(signal, () => renameFile(this.#connection, request, { signal }));
  }

  /** How many files and directories went. A directory with content needs `recursive`. */
  remove(path: FilePath, options: AbortOptions & { readonly recursive?: boolean } = {}): Promise<number> {
    const { signal, recursive } = options;
    const request = { ...this.#scope, path, recursive };
    return this.#call(signal, () => removeFile(this.#connection, request, { signal }));
  }

  /** Mode, owner (`user`, `user:group`) or time of change. */
  change(
    path: FilePath,
    changes: Pick<ChangeFile, 'mode' | 'owner' | 'mtimeMs' | 'follow'>,
    options: AbortOptions = {},
  ): Promise<FileEntry> {
    const request = { ...this.#scope, ...changes, path };
    return this.#call(options.signal, () => changeFile(this.#connection, request, options));
  }

  /**
   * What changes in a directory from now on, or below it with `recursive`. An event `overflow` says that some were lost.
   * It ends with the connection (`connection_lost`): watch again, and look for what changed in between.
   */
  async watch(
    path: FilePath,
    options: AbortOptions & { readonly recursive?: boolean } = {},
  ): Promise<FileWatching> {
    const { signal, recursive } = options;
    const request = { ...this.#scope, path, recursive };
    const watch = await this.#call(signal, () => watchFiles(this.#connection, request, { signal }));
    const events = translatedSequence(watch.events);
    return { close: () => watch.close(), [Symbol.asyncIterator]: () => events };
  }

  /** A directory's content, or one file, as a tar stream. */
  async readTar(path: FilePath, options: AbortOptions = {}): Promise<ReadableStream<Uint8Array>> {
    const request = { ...this.#scope, path };
    const { bytes } = await this.#call(options.signal, () => readTar(this.#connection, request, options));
    return readableStream(translatedSequence(bytes));
  }

  /** Unpacks a tar stream into a directory. What was unpacked before a failure stays. */
  writeTar(
    path: FilePath,
    input: ByteInput,
    options: AbortOptions & { readonly parents?: boolean } = {},
  ): Promise<ArchiveEnd> {
    const { signal, parents } = options;
    const request = { ...this.#scope, path, parents };
    return this.#call(signal, () => writeTar(this.#connection, request, byteSource(input), { signal }));
  }

  #open(path: FilePath, options: ReadOptions): Promise<FileReading> {
    const { signal, offset, length } = options;
    const request = { ...this.#scope, path, offset, length };
    return this.#call(signal, () => readFile(this.#connection, request, { signal }));
  }

  #call<T>(signal: AbortSignal | undefined, operation: () => Promise<T>): Promise<T> {
    return call(this.#connection, signal, operation);
  }
}

/** What fits a program's memory without a thought. */
const readBytesMaxDefault = 64 * 1_024 * 1_024;
const listLimitDefault = 100_000;
const isAbsence: ReadonlySet<string> = new Set(['not_found', 'not_directory']);

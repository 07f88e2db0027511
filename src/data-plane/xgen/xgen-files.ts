import { type ChannelOpener, ResponderError } from '../../../protocol/channel-opener.ts';
import { shownPath } from '../../../protocol/wire-path.ts';
import {
  encodeXgenEntries,
  parseXgenFsRemove,
  parseXgenFsWrite,
  parseXgenPath,
  type XgenEntry,
  xgenPayloadBytesMax,
  xgenTypes,
} from '../../../protocol/xgen-messages.ts';
import { removeFile } from '../../operations/change-files.ts';
import { listFiles } from '../../operations/list-files.ts';
import { readFile } from '../../operations/read-file.ts';
import { writeFile } from '../../operations/write-file.ts';
import { PathTurns } from './path-turns.ts';
import { Slots } from './slots.ts';
import type { XgenOutlet } from './xgen-outlet.ts';
import { parseWorkspacePath, type WorkspacePath, workspaceRoot } from './xgen-paths.ts';
import { sandboxUser } from './xgen-user.ts';

export interface XgenFilesDeps {
  readonly guest: ChannelOpener;
  readonly outlet: Pick<XgenOutlet, 'room'>;
  /** Settles when the workspace is there, or could not be made. */
  readonly workspace: Promise<void>;
  /** Aborted when the client has gone. */
  readonly gone: AbortSignal;
}

/** What becomes of a file request: its answer goes out with the request's type where it holds something, else as an Ack. */
export type XgenFileAnswer =
  | { readonly kind: 'data'; readonly payload: Uint8Array }
  | { readonly kind: 'done' }
  | {
      readonly kind: 'failed';
      readonly code: 'fs_error' | 'invalid_payload';
      readonly message: string;
    };

/**
 * The file requests of one connection: whole files in one message, below the workspace, as the sandbox's user. Requests
 * run at the same time unless they touch the same path. Messages name the path as the client sees it and a reason.
 */
export class XgenFiles {
  readonly #deps: XgenFilesDeps;
  readonly #turns = new PathTurns();
  readonly #slots = new Slots(requestsAtOnceMax);

  constructor(deps: XgenFilesDeps) {
    this.#deps = deps;
  }

  /** Never rejects. `type` is one of FsRead, FsWrite, FsList, FsRemove. */
  handle(type: number, payload: Uint8Array): Promise<XgenFileAnswer> {
    switch (type) {
      case xgenTypes.FsWrite:
        return this.#handle(parseXgenFsWrite(payload), (path, request, signal) =>
          this.#write(path, request, signal),
        );
      case xgenTypes.FsRemove:
        return this.#handle(parseXgenFsRemove(payload), (path, request, signal) =>
          this.#remove(path, request.recursive, signal),
        );
      default: {
        const parsed = parseXgenPath(payload);
        const request = 'error' in parsed ? parsed : { value: { path: parsed.value } };
        return this.#handle(request, (path, _request, signal) =>
          type === xgenTypes.FsRead ? this.#read(path, signal) : this.#list(path, signal),
        );
      }
    }
  }

  async #handle<T extends { readonly path: string }>(
    parsed: { readonly value: T } | { readonly error: string },
    work: (path: WorkspacePath, request: T, signal: AbortSignal) => Promise<XgenFileAnswer>,
  ): Promise<XgenFileAnswer> {
    if ('error' in parsed) return { kind: 'failed', code: 'invalid_payload', message: parsed.error };
    const path = parseWorkspacePath(parsed.value.path);
    if ('error' in path) return failed(path.error);
    const late = AbortSignal.timeout(answerMsMax);
    const signal = AbortSignal.any([late, this.#deps.gone]);
    try {
      return await this.#turns.take(path.value.absolute, () =>
        this.#slots.take(async () => {
          await this.#deps.workspace;
          signal.throwIfAborted();
          return await work(path.value, parsed.value, signal);
        }),
      );
    } catch (error) {
      return failed(`${path.value.shown}: ${late.aborted ? 'timed out' : reasonOf(error)}`);
    }
  }

  async #read(path: WorkspacePath, signal: AbortSignal): Promise<XgenFileAnswer> {
    await this.#deps.outlet.room();
    const reading = await readFile(this.#deps.guest, this.#request(path), { signal });
    if (reading.entry.size > xgenPayloadBytesMax) {
      reading.close();
      return tooLarge(path);
    }
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of reading.bytes) {
      bytes += piece.length;
      // It may have grown since it was opened.
      if (bytes > xgenPayloadBytesMax) return tooLarge(path);
      pieces.push(piece);
    }
    await reading.end;
    return { kind: 'data', payload: Buffer.concat(pieces, bytes) };
  }

  async #write(
    path: WorkspacePath,
    { content, mode }: { readonly content: Uint8Array; readonly mode: number },
    signal: AbortSignal,
  ): Promise<XgenFileAnswer> {
    const request = { ...this.#request(path), parents: true, mode: mode || fileModeDefault };
    await writeFile(this.#deps.guest, request, content, { signal });
    return { kind: 'done' };
  }

  async #list(path: WorkspacePath, signal: AbortSignal): Promise<XgenFileAnswer> {
    const request = { ...this.#request(path), limit: listedEntriesMax };
    const listing = await listFiles(this.#deps.guest, request, { signal });
    const entries: XgenEntry[] = [];
    for await (const entry of listing.entries) {
      entries.push({
        name: shownPath(entry.name),
        size: entry.size,
        isDirectory: entry.kind === 'directory',
        modifiedAt: Math.floor(entry.mtimeMs / 1_000),
      });
    }
    const end = await listing.end;
    if (end.more) return failed(`${path.shown}: more than ${listedEntriesMax} entries`);
    const payload = encodeXgenEntries(entries);
    return payload.length > xgenPayloadBytesMax ? tooLarge(path) : { kind: 'data', payload };
  }

  async #remove(path: WorkspacePath, recursive: boolean, signal: AbortSignal): Promise<XgenFileAnswer> {
    if (path.absolute === workspaceRoot) return failed(`${path.shown}: the workspace cannot be removed`);
    await removeFile(this.#deps.guest, { ...this.#request(path), recursive }, { signal });
    return { kind: 'done' };
  }

  #request(path: WorkspacePath) {
    return { path: path.absolute, root: workspaceRoot, user: sandboxUser, cwd: '/' };
  }
}

function failed(message: string): XgenFileAnswer {
  return { kind: 'failed', code: 'fs_error', message };
}

function tooLarge(path: WorkspacePath): XgenFileAnswer {
  return failed(`${path.shown}: over ${xgenPayloadBytesMax} bytes, the most that one message holds`);
}

/** The words of the C library, which clients have seen before; never a path of the host. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof ResponderError)) return 'the sandbox did not answer';
  return reasons.get(error.code) ?? error.message;
}

const reasons: ReadonlyMap<string, string> = new Map([
  ['not_found', 'no such file'],
  ['exists', 'file exists'],
  ['not_directory', 'not a directory'],
  ['is_directory', 'is a directory'],
  ['not_regular', 'not a regular file'],
  ['not_empty', 'directory not empty'],
  ['permission_denied', 'permission denied'],
  ['name_invalid', 'invalid name'],
  ['outside_root', 'outside the workspace'],
  ['too_many_links', 'too many symbolic links'],
  ['no_space', 'no space left on device'],
  ['read_only', 'read-only file system'],
]);

/** Clients drop a request after 30 s, and would take a later answer for that of another one. */
const answerMsMax = 25_000;
const fileModeDefault = 0o644;
/** Each may hold a whole file. */
const requestsAtOnceMax = 4;
/** About what fits one message with short names. */
const listedEntriesMax = 200_000;

import { type ChannelOpener, ResponderError } from '../../../protocol/channel-opener.ts';
import { shownPath } from '../../../protocol/wire-path.ts';
import { encodeXgenFsEvent, xgenTypes } from '../../../protocol/xgen-messages.ts';
import type { Log } from '../../observability/log.ts';
import { type FileEvent, type FileWatch, watchFiles } from '../../operations/watch-files.ts';
import { reasonOf } from './xgen-files.ts';
import type { XgenOutlet } from './xgen-outlet.ts';
import { isInWorkspace, parseWorkspacePath, type WorkspacePath, workspaceRoot } from './xgen-paths.ts';
import { sandboxUser } from './xgen-user.ts';

export interface XgenWatchesDeps {
  readonly guest: ChannelOpener;
  readonly outlet: Pick<XgenOutlet, 'send' | 'room'>;
  readonly workspace: Promise<void>;
  readonly log: Log;
}

/**
 * The watches of one connection, by path. A path that does not exist yet is watched from the nearest folder above it that
 * does: what appears there is told as soon as it lies at or below the path. A watch whose folder goes away starts anew in
 * the same way, until it is taken back.
 */
export class XgenWatches {
  readonly #deps: XgenWatchesDeps;
  readonly #watches = new Map<string, Watch>();

  constructor(deps: XgenWatchesDeps) {
    this.#deps = deps;
  }

  /** Settles once what changes from now on is told: undefined, or why it will not be. */
  async watch(path: string): Promise<string | undefined> {
    const parsed = parseWorkspacePath(path);
    if ('error' in parsed) return parsed.error;
    const { absolute, shown } = parsed.value;
    let watch = this.#watches.get(absolute);
    if (watch === undefined) {
      if (this.#watches.size >= watchesMax) return `${shown}: more than ${watchesMax} watches`;
      watch = new Watch(this.#deps, parsed.value);
      this.#watches.set(absolute, watch);
    }
    const failure = await watch.started;
    if (failure === undefined) return undefined;
    if (this.#watches.get(absolute) === watch) this.#watches.delete(absolute);
    return `${shown}: ${failure}`;
  }

  /** Taking back what was never watched, or could not be, is fine. */
  unwatch(path: string): void {
    const parsed = parseWorkspacePath(path);
    if ('error' in parsed) return;
    const { absolute } = parsed.value;
    this.#watches.get(absolute)?.close();
    this.#watches.delete(absolute);
  }

  close(): void {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
  }
}

/** One watched path: starting → on ⇄ starting anew → closed. It has at most one watch of the guest open. */
class Watch {
  /** Undefined once it is on, or why it could not be started. */
  readonly started: Promise<string | undefined>;
  readonly #deps: XgenWatchesDeps;
  readonly #path: WorkspacePath;
  readonly #closed = new AbortController();

  constructor(deps: XgenWatchesDeps, path: WorkspacePath) {
    this.#deps = deps;
    this.#path = path;
    const first = deps.workspace.then(() => this.#open());
    this.started = first.then(
      () => undefined,
      (error: unknown) => reasonOf(error),
    );
    first.then((opened) => this.#run(opened)).catch((error: unknown) => this.#stopped(error));
  }

  close(): void {
    this.#closed.abort(new Error('the watch was taken back'));
  }

  async #run(first: OpenWatch): Promise<void> {
    for (let open = first; ; open = await this.#open()) {
      try {
        for await (const event of open.watch.events) {
          this.#tell(open.folder, event);
          // Events wait in the guest for a client that does not read, and are lost there rather than kept here.
          await this.#deps.outlet.room();
        }
      } catch (error) {
        // Its folder has gone, or too much lies in it now: what is left of it is found by opening anew.
        if (!(error instanceof ResponderError)) throw error;
      }
      if (this.#closed.signal.aborted) return;
      await new Promise((resolve) => setTimeout(resolve, reopenMs));
    }
  }

  /** On the path itself, or on the nearest folder above it that is there. Rejects with what is wrong with that. */
  async #open(): Promise<OpenWatch> {
    const { guest } = this.#deps;
    for (let folder = this.#path.absolute; ; folder = parentOf(folder)) {
      try {
        const request = { path: folder, root: workspaceRoot, user: sandboxUser, cwd: '/', recursive: true };
        return { folder, watch: await watchFiles(guest, request, { signal: this.#closed.signal }) };
      } catch (error) {
        const goesOn = error instanceof ResponderError && absentCodes.has(error.code);
        if (!goesOn || folder === workspaceRoot) throw error;
      }
    }
  }

  #tell(folder: string, event: FileEvent): void {
    if (event.event === 'overflow') {
      this.#deps.log.warn({ path: this.#path.shown }, 'xgen: a watch has lost events');
      return;
    }
    if (event.event === 'attributes' || !isTold(event.kind)) return;
    const path = shownPath(event.path);
    const absolute = path === '' ? folder : `${folder}/${path}`;
    if (!isAtOrBelow(absolute, this.#path.absolute) || !isInWorkspace(absolute)) return;
    const shown = absolute.slice(workspaceRoot.length + 1);
    if (shown === '') return;
    this.#deps.outlet.send({ type: xgenTypes.FsEvent, payload: encodeXgenFsEvent(shown, event.event) });
  }

  #stopped(error: unknown): void {
    if (this.#closed.signal.aborted) return;
    this.#deps.log.debug({ err: error, path: this.#path.shown }, 'xgen: a watch has ended');
  }
}

interface OpenWatch {
  readonly folder: string;
  readonly watch: FileWatch;
}

/** Clients know files and links only. What has gone may have no kind any more. */
function isTold(kind: string | undefined): boolean {
  return kind === undefined || kind === 'file' || kind === 'symlink';
}

function isAtOrBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

/** A file is watched from its folder; what is not there, from above. */
const absentCodes: ReadonlySet<string> = new Set(['not_found', 'not_directory', 'not_regular']);
const watchesMax = 64;
/** Between the end of a guest's watch and the next try: soon enough for "within 1 s", and no storm. */
const reopenMs = 200;

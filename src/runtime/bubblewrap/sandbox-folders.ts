import { mkdir, readdir, readFile, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isMissing } from '../cgroup/cgroup-files.ts';

/** What is written down of a sandbox, once, while its control group is made; no process of it is there yet. */
export interface SandboxNote {
  readonly storeId: string;
  /** null: it runs under this process's own uid. */
  readonly hostUid: number | null;
}

export interface FoundSandbox {
  readonly sandboxId: string;
  readonly note: SandboxNote | null;
  readonly madeAtMs: number;
}

/**
 * One folder per sandbox below the state folder: the first thing made of a sandbox and the last removed, so that whatever
 * a crash leaves is found by it (D14). A folder without a note means the crash came before any process was started.
 */
export class SandboxFolders {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  path(sandboxId: string): string {
    return join(this.#folder, sandboxId);
  }

  async make(sandboxId: string): Promise<void> {
    await mkdir(this.path(sandboxId), { recursive: true, mode: 0o700 });
  }

  /** A note that a crash cut short reads as none. */
  async write(sandboxId: string, note: SandboxNote): Promise<void> {
    await writeFile(join(this.path(sandboxId), noteFile), JSON.stringify(note), { mode: 0o600 });
  }

  async read(sandboxId: string): Promise<SandboxNote | null> {
    try {
      return parseNote(await readFile(join(this.path(sandboxId), noteFile), 'utf8'));
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  async exists(sandboxId: string): Promise<boolean> {
    return (await this.#find(sandboxId)) !== null;
  }

  async remove(sandboxId: string): Promise<void> {
    await rm(this.path(sandboxId), { recursive: true, force: true });
  }

  /** Removes the folder of all sandboxes where it is empty. */
  async removeFolder(): Promise<void> {
    await rmdir(this.#folder).catch(() => undefined);
  }

  async list(): Promise<readonly FoundSandbox[]> {
    let names: readonly string[];
    try {
      names = await readdir(this.#folder);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
    const found = await Promise.all(names.filter(isSandboxName).map((sandboxId) => this.#find(sandboxId)));
    return found.filter((each) => each !== null);
  }

  async #find(sandboxId: string): Promise<FoundSandbox | null> {
    try {
      const { birthtimeMs, mtimeMs } = await stat(this.path(sandboxId));
      // Not every file system keeps the time of birth.
      return {
        sandboxId,
        note: await this.read(sandboxId),
        madeAtMs: birthtimeMs > 0 ? birthtimeMs : mtimeMs,
      };
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }
}

/** Ids become names of folders and control groups, so nothing else may pass. */
export function isSandboxName(name: string): boolean {
  return /^[a-z0-9]{1,64}$/.test(name);
}

function parseNote(text: string): SandboxNote | null {
  try {
    const { storeId, hostUid } = JSON.parse(text) as Record<string, unknown>;
    if (typeof storeId !== 'string') return null;
    return { storeId, hostUid: typeof hostUid === 'number' ? hostUid : null };
  } catch {
    return null;
  }
}

const noteFile = 'sandbox.json';

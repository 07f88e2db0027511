import { randomInt } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WarmpoolError } from '../../domain/errors.ts';
import { codeOf } from '../cgroup/cgroup-files.ts';
import { processesOfUid } from './host-processes.ts';

/**
 * Lends host uids to sandboxes, each to one at a time on this whole host (HARDENING.md, B1). A loan is a file named by the
 * uid in a folder all nodes of the host share, made with "only if absent"; it names the sandbox's folder. The folder is
 * on a file system that a reboot empties, together with the processes that could still have a uid.
 *
 * The order keeps a loan from being lost: the sandbox's folder exists before its loan and until after it. A loan whose
 * folder is gone belongs to nobody, because somebody removed a state folder by hand.
 */
export class HostUids {
  readonly #folder: string;

  constructor(folder = '/run/warmpool/uids') {
    this.#folder = folder;
  }

  async lend(sandboxFolder: string): Promise<number> {
    const start = randomInt(uidCount);
    for (let step = 0; step < uidCount; step += 1) {
      const uid = uidFirst + ((start + step) % uidCount);
      try {
        await this.#note(uid, sandboxFolder);
        return uid;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
    }
    throw new WarmpoolError('NO_CAPACITY', `bubblewrap: all ${uidCount} host uids are in use`);
  }

  /** Only once no process of that uid is left. A loan that meanwhile is somebody else's stays. */
  async giveBack(uid: number, sandboxFolder: string): Promise<void> {
    if ((await this.#borrower(uid)) === sandboxFolder) await rm(this.#path(uid), { force: true });
  }

  /** What a crash between the loan and its being written down left behind. */
  async lentTo(sandboxFolder: string): Promise<readonly number[]> {
    const uids = await this.#lent();
    const borrowers = await Promise.all(uids.map((uid) => this.#borrower(uid)));
    return uids.filter((_uid, index) => borrowers[index] === sandboxFolder);
  }

  /** Takes back loans whose sandbox's folder is gone. */
  async sweep(): Promise<void> {
    for (const uid of await this.#lent()) {
      const borrower = await this.#borrower(uid);
      if (borrower === null || borrower === '' || (await exists(borrower))) continue;
      if ((await processesOfUid(uid)).length === 0) await this.giveBack(uid, borrower);
    }
  }

  async #note(uid: number, sandboxFolder: string): Promise<void> {
    const options = { flag: 'wx', mode: 0o600 };
    try {
      await writeFile(this.#path(uid), sandboxFolder, options);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFile(this.#path(uid), sandboxFolder, options);
    }
  }

  async #lent(): Promise<readonly number[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names.map(Number).filter(Number.isInteger);
  }

  async #borrower(uid: number): Promise<string | null> {
    try {
      return await readFile(this.#path(uid), 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  #path(uid: number): string {
    return join(this.#folder, String(uid));
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error) => codeOf(error) !== 'ENOENT',
  );
}

/** Far above what distributions, directory services and user namespaces of engines hand out, and below 2^31. */
export const uidFirst = 700_000_000;
export const uidCount = 65_536;

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { WarmpoolError } from '../../domain/errors.ts';
import type { TemplateSpec } from '../../domain/pool-spec.ts';
import { type Account, accountOf } from './accounts.ts';
import { bwrapArguments, hostFilesInProc } from './bwrap-arguments.ts';
import { buildHostEtc, makeOpenFolder } from './host-etc.ts';
import type { BubblewrapHost } from './host-inspection.ts';
import { planRoot } from './sandbox-root.ts';

/** A template made bootable: everything that is the same for its sandboxes lies ready in files. */
export interface PreparedTemplate {
  readonly argumentsPath: string;
}

/**
 * Makes templates bootable, each once for each size that is asked for. What it makes lies in folders with random names, so
 * that no second process on the same state folder can change what a boot is reading. Claims may ask for any size, so what
 * was used longest ago goes when there are many; far fewer boots than are kept are under way at any time.
 */
export class TemplatePreparer {
  readonly #hidden: readonly string[];
  /** What was used last is last. */
  readonly #prepared = new Map<string, Promise<PreparedTemplate>>();
  readonly #hostEtcs = new Map<string, Promise<string>>();
  readonly #folders = new Set<string>();
  #abandonedRemoved: Promise<void> | null = null;

  /** `hidden` are the host directories that no sandbox may see. */
  constructor(hidden: readonly string[]) {
    this.#hidden = hidden;
  }

  prepare(template: TemplateSpec, host: BubblewrapHost): Promise<PreparedTemplate> {
    const { rootfs, user, cwd, resources } = template;
    const key = JSON.stringify([rootfs, user, cwd, resources.diskMb, resources.memoryMb]);
    const known = this.#prepared.get(key);
    const prepared = known ?? this.#make(template, host);
    this.#prepared.delete(key);
    this.#prepared.set(key, prepared);
    if (known !== undefined) return prepared;
    // A root that is missing now may be there at the next try.
    prepared.catch(() => this.#prepared.delete(key));
    this.#dropOldest();
    return prepared;
  }

  async removeAll(): Promise<void> {
    this.#prepared.clear();
    this.#hostEtcs.clear();
    const folders = [...this.#folders];
    this.#folders.clear();
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  }

  #dropOldest(): void {
    for (const [key, oldest] of this.#prepared) {
      if (this.#prepared.size <= preparedMax) return;
      this.#prepared.delete(key);
      // Where it cannot be removed now, it is at the end of this process or at the next start.
      void oldest
        .then(({ argumentsPath }) => this.#removeFolder(dirname(argumentsPath)))
        .catch(() => undefined);
    }
  }

  async #removeFolder(folder: string): Promise<void> {
    await rm(folder, { recursive: true, force: true });
    this.#folders.delete(folder);
  }

  async #make(template: TemplateSpec, host: BubblewrapHost): Promise<PreparedTemplate> {
    const account = accountOf(template.user);
    if ('error' in account) throw new WarmpoolError('USER_UNAVAILABLE', account.error);
    if (!isAbsolute(template.cwd) || template.cwd.includes('\0'))
      throw new WarmpoolError('CWD_INVALID', `bubblewrap: cwd ${template.cwd} is not an absolute path`);
    const folder = await this.#makeFolder(host);
    const root = await planRoot({
      template,
      account,
      folder,
      hostEtc: () => this.#hostEtc(account, host),
      hidden: [...this.#hidden, host.reachableFolder],
    });
    const words = bwrapArguments({
      account,
      root,
      resources: template.resources,
      guestPath: host.guestPath,
      maskedFiles: hostFilesInProc.filter((path) => existsSync(path)),
    });
    const argumentsPath = join(folder, 'bwrap-arguments');
    await writeFile(argumentsPath, words.map((word) => `${word}\0`).join(''), { mode: 0o600 });
    return { argumentsPath };
  }

  /** Hundreds of small files, so one for all templates with the same user. */
  #hostEtc(account: Account, host: BubblewrapHost): Promise<string> {
    let etc = this.#hostEtcs.get(account.name);
    if (etc === undefined) {
      etc = this.#makeFolder(host).then(async (folder) => {
        await buildHostEtc(folder, account);
        return folder;
      });
      this.#hostEtcs.set(account.name, etc);
      etc.catch(() => this.#hostEtcs.delete(account.name));
    }
    return etc;
  }

  async #makeFolder(host: BubblewrapHost): Promise<string> {
    await this.#removeAbandoned(host);
    const folder = join(host.reachableFolder, `template-${process.pid}-${randomBytes(8).toString('hex')}`);
    this.#folders.add(folder);
    await makeOpenFolder(folder);
    return folder;
  }

  /** What processes of this state folder left that ended without a chance to remove it: the name tells whose it is. */
  #removeAbandoned({ reachableFolder }: BubblewrapHost): Promise<void> {
    this.#abandonedRemoved ??= (async () => {
      for (const name of await readdir(reachableFolder)) {
        const pid = /^template-(\d+)-/.exec(name)?.[1];
        if (pid !== undefined && !existsSync(`/proc/${pid}`))
          await rm(join(reachableFolder, name), { recursive: true, force: true });
      }
    })();
    return this.#abandonedRemoved;
  }
}

/** More than anybody has pools, and small: some files of a kilobyte. */
const preparedMax = 256;

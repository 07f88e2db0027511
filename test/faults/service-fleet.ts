import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newDataKey } from '../../src/auth/data-key.ts';
import { type PoolFile, ServiceFolder, TestService } from '../support/service.ts';
import type { History } from './history.ts';

/**
 * Several services over one store, each a process with a state folder of its own, any of which may be killed, frozen, and
 * started again. What is known of a process is what the kernel says of it.
 */
export class ServiceFleet implements AsyncDisposable {
  readonly #history: History;
  readonly #options: FleetOptions;
  readonly #key = newDataKey().privateKey.export({ type: 'pkcs8', format: 'pem' });
  readonly #members: Member[] = [];
  /** Of those that will not come back. */
  readonly #oldFolders: ServiceFolder[] = [];

  private constructor(history: History, options: FleetOptions) {
    this.#history = history;
    this.#options = options;
  }

  static async start(history: History, roles: readonly Role[], options: FleetOptions): Promise<ServiceFleet> {
    const fleet = new ServiceFleet(history, options);
    for (const role of roles) fleet.#members.push({ role, folder: fleet.#newFolder(), service: null });
    try {
      await Promise.all(fleet.#members.map((_, index) => fleet.restart(index)));
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  get size(): number {
    return this.#members.length;
  }

  get folders(): readonly ServiceFolder[] {
    return this.#members.map(({ folder }) => folder);
  }

  /** Of those that are there now and serve calls. */
  get addresses(): readonly string[] {
    return this.#members.flatMap(({ role, service }) =>
      service === null || role === 'node' ? [] : [service.grpc],
    );
  }

  /** As a power cut of its host: nothing is flushed or said. Settles when the kernel has buried it. */
  async kill(index: number): Promise<void> {
    const member = this.#member(index);
    const { service } = member;
    if (service === null) return;
    member.service = null;
    const { pid } = service.process;
    this.#history.add({ t: 'fault', what: `kill -9 of ${member.folder.nodeId}, process ${pid}` });
    const before = stateOf(pid);
    await service.kill('SIGKILL');
    const now = stateOf(pid);
    // The number may be another process's by now.
    if (now !== null && now.state !== 'Z' && now.startedAt === before?.startedAt)
      throw new Error(`process ${pid} goes on after its end`);
    this.#history.addJournal(member.folder.nodeId, journalOf(member.folder));
  }

  /** The same one again: what it has left is found by it. */
  async restart(index: number): Promise<void> {
    const member = this.#member(index);
    const { role, folder } = member;
    const env = {
      ...this.#options.env,
      WARMPOOL_ROLE: role,
      ...(role !== 'all' && { WARMPOOL_DATA_KEY: keyOf(folder) }),
    };
    const started = await TestService.start({ pools: [], folder, env });
    member.service = started;
  }

  /** Another one in its place, which knows nothing of it. */
  async replace(index: number): Promise<void> {
    const member = this.#member(index);
    this.#oldFolders.push(member.folder);
    member.folder = this.#newFolder();
    await this.restart(index);
  }

  /** It does nothing at all for a while, and knows nothing of it. */
  async freeze(index: number, ms: number): Promise<void> {
    const { service, folder } = this.#member(index);
    if (service === null) return;
    this.#history.add({ t: 'fault', what: `SIGSTOP of ${folder.nodeId} for ${ms} ms` });
    service.process.kill('SIGSTOP');
    await new Promise<void>((resolve) => setTimeout(resolve, ms));
    service.process.kill('SIGCONT');
  }

  /** What the nodes have written down so far, into the history. */
  addJournals(): void {
    for (const folder of this.folders) this.#history.addJournal(folder.nodeId, journalOf(folder));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const services = this.#members.map(({ service }) => service);
    await Promise.all(services.map((service) => service?.[Symbol.asyncDispose]()));
    for (const folder of [...this.folders, ...this.#oldFolders]) folder[Symbol.dispose]();
  }

  /** With the key by which the processes of one service know each other. */
  #newFolder(): ServiceFolder {
    const folder = new ServiceFolder(this.#options.pools);
    writeFileSync(keyOf(folder), this.#key, { mode: 0o600 });
    return folder;
  }

  #member(index: number): Member {
    const member = this.#members[index];
    if (!member) throw new Error(`the fleet has no member ${index}`);
    return member;
  }
}

export interface FleetOptions {
  readonly pools: readonly PoolFile[];
  readonly env: Readonly<Record<string, string>>;
}

export type Role = 'all' | 'allocator' | 'node';

interface Member {
  readonly role: Role;
  folder: ServiceFolder;
  service: TestService | null;
}

function keyOf(folder: ServiceFolder): string {
  return join(folder.path, 'data-key.pem');
}

function journalOf(folder: ServiceFolder): string {
  return join(folder.state, 'claims.journal');
}

/** By /proc: to `kill -0` a zombie is alive, and a number that was used again the same process. */
function stateOf(pid: number | undefined): { state: string; startedAt: string } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] ?? '', startedAt: fields[19] ?? '' };
  } catch {
    return null;
  }
}

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newApiKey } from '../../src/auth/api-keys.ts';
import { type DataKey, newDataKey } from '../../src/auth/data-key.ts';
import { type PoolFile, ServiceFolder, TestService } from '../support/service.ts';

export const owner = newApiKey('acme');

export interface RoleOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Absent: the one that all of them have. */
  readonly key?: DataKey;
  /** Only the public half is given to it. */
  readonly verifiesOnly?: boolean;
}

/** Processes in one role each, which meet in one Redis and know each other by one key: what runs on several hosts. */
export class SplitService implements AsyncDisposable {
  readonly #redisUrl: string;
  readonly #pools: readonly PoolFile[];
  readonly #key = newDataKey();
  readonly #started: TestService[] = [];

  constructor(redisUrl: string, pools: readonly PoolFile[]) {
    this.#redisUrl = redisUrl;
    this.#pools = pools;
  }

  async start(role: 'all' | 'allocator' | 'node', options: RoleOptions = {}): Promise<TestService> {
    const folder = new ServiceFolder(this.#pools);
    const keyFile = join(folder.path, 'data-key.pem');
    const { privateKey, publicKey } = options.key ?? this.#key;
    const pem = options.verifiesOnly
      ? publicKey.export({ type: 'spki', format: 'pem' })
      : privateKey.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(keyFile, pem, { mode: 0o600 });
    const service = await TestService.start({
      pools: this.#pools,
      folder,
      env: {
        WARMPOOL_ROLE: role,
        WARMPOOL_RUNTIME: 'bubblewrap',
        WARMPOOL_API_KEYS: owner.entry,
        WARMPOOL_DATA_KEY: keyFile,
        REDIS_URL: this.#redisUrl,
        ...options.env,
      },
    }).catch((error: unknown) => {
      folder[Symbol.dispose]();
      throw error;
    });
    this.#started.push(service);
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The last first: an allocator goes before the node that it may still ask for something.
    for (const service of this.#started.reverse()) {
      await service[Symbol.asyncDispose]();
      service.folder[Symbol.dispose]();
    }
  }
}

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecDefaults, SandboxSession, SessionListener } from '../../src/allocator/api.ts';
import { ApiKeys } from '../../src/auth/api-keys.ts';
import { XgenTokens } from '../../src/auth/xgen-tokens.ts';
import { silentObserver } from '../../src/data-plane/observer.ts';
import { ClientAddresses } from '../../src/data-plane/xgen/client-addresses.ts';
import { RateLimit } from '../../src/data-plane/xgen/rate-limit.ts';
import { XgenCredentials } from '../../src/data-plane/xgen/xgen-credentials.ts';
import { silentXgenObserver } from '../../src/data-plane/xgen/xgen-observer.ts';
import { parseXgenAddress, XgenRoute } from '../../src/data-plane/xgen/xgen-route.ts';
import { type Clock, SystemClock } from '../../src/domain/clock.ts';
import { templateEnvironment } from '../../src/domain/environment.ts';
import { WarmpoolError } from '../../src/domain/errors.ts';
import { BubblewrapSandboxes, hostTemplate } from '../support/bubblewrap-sandboxes.ts';
import type { RunningSandbox } from '../support/docker-sandboxes.ts';
import { SilentLog } from '../support/silent-log.ts';
import type { XgenPlace } from './process-acceptance.ts';
import { XgenClient } from './xgen-client.ts';

export interface BubblewrapStandOptions {
  readonly clock?: Clock;
  /** None: nobody needs a credential. */
  readonly keys?: ConstructorParameters<typeof ApiKeys>[0];
}

/**
 * The route and its sessions over real sandboxes, without the allocator between them: what a test cannot make the whole
 * service do, such as failing a sandbox, it does here by hand.
 */
export class BubblewrapStand implements AsyncDisposable {
  readonly sandboxes = new BubblewrapSandboxes();
  readonly listeners = new Map<string, Set<SessionListener>>();
  readonly log = new SilentLog();
  readonly route: XgenRoute;
  readonly tokens: XgenTokens;
  readonly #running = new Map<string, RunningSandbox>();
  readonly #server: Server;

  static async start(options: BubblewrapStandOptions = {}): Promise<BubblewrapStand> {
    const stand = new BubblewrapStand(options);
    await new Promise<void>((resolve) => stand.#server.listen(0, '127.0.0.1', resolve));
    await stand.sandboxes.runtime.inspectHost();
    return stand;
  }

  private constructor({ clock = new SystemClock(), keys = [] }: BubblewrapStandOptions) {
    this.tokens = new XgenTokens(clock, Buffer.alloc(32, 7));
    this.route = new XgenRoute({
      allocator: { openSession: async (_grant, id) => this.#openSession(id) },
      credentials: new XgenCredentials({
        keys: new ApiKeys(keys),
        tokens: this.tokens,
        dataTokens: { verify: () => null },
      }),
      rateLimit: new RateLimit(clock, 0),
      observer: silentObserver,
      xgenObserver: silentXgenObserver,
      addresses: new ClientAddresses([]),
      clock,
      log: this.log,
    });
    this.#server = createServer();
    this.#server.on('upgrade', (request, socket, head) => {
      const address = parseXgenAddress(request.url ?? '');
      if (address) void this.route.upgrade(request, socket, head, address);
      else socket.destroy();
    });
  }

  async boot(): Promise<string> {
    const sandbox = await this.sandboxes.boot(
      hostTemplate({ resources: { memoryMb: 512, diskMb: 256, pids: 256 } }),
    );
    this.#running.set(sandbox.id, sandbox);
    return sandbox.id;
  }

  url(id: string): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/api/v1/sandboxes/${id}/ws`;
  }

  /** This sandbox, for the acceptance. It is served by this very process. */
  place(id: string): XgenPlace {
    return {
      connect: () => XgenClient.connect(this.url(id)),
      memoryBytes: () => process.memoryUsage().rss,
    };
  }

  /** As the allocator tells every session of a sandbox. */
  tellEnd(id: string, end: { readonly reason: string; readonly failed: boolean }): void {
    for (const listener of this.listeners.get(id) ?? []) listener.onEnd(end);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.route[Symbol.asyncDispose]();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    for (const { link } of this.#running.values()) await link[Symbol.asyncDispose]();
    await this.sandboxes[Symbol.asyncDispose]();
  }

  #openSession(id: string): SandboxSession {
    const sandbox = this.#running.get(id);
    if (!sandbox) throw new WarmpoolError('SANDBOX_NOT_FOUND', 'no such sandbox');
    const listeners = this.listeners.get(id) ?? new Set();
    this.listeners.set(id, listeners);
    const own = new Set<SessionListener>();
    const record = {
      id,
      pool: 'test',
      specVersion: '',
      state: 'running',
      launch: 'cold',
      nodeId: 'test',
      incarnation: 1,
      createdAtMs: 0,
    } as const;
    const lease = { remainingMs: 60_000, ttlMs: 60_000, endOfLifeMs: 60_000 };
    const completed = (request: Omit<ExecDefaults, 'env'>) => ({
      user: request.user ?? 'user',
      cwd: request.cwd ?? '/home/user',
    });
    return {
      record,
      guest: sandbox.link,
      completeExec: ({ env, ...rest }) => ({
        ...completed(rest),
        env: { ...templateEnvironment({ user: 'user', env: {} }), ...env },
      }),
      completeFiles: completed,
      lease: () => lease,
      keepAlive: async () => lease,
      used: () => {},
      watch: (listener) => {
        own.add(listener);
        listeners.add(listener);
      },
      close: () => {
        for (const listener of own) listeners.delete(listener);
      },
    };
  }
}

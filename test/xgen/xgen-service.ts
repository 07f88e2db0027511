import { newApiKey } from '../../src/auth/api-keys.ts';
import { type PoolFile, type ServiceFolder, TestService } from '../support/service.ts';
import { XgenClient } from './xgen-client.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Empty where there is none. */
  readonly body: Body;
}

/** An object of JSON, or an array of them under its indexes. */
export interface Body {
  readonly [member: string]: unknown;
}

/** As the published API shows a sandbox. */
export interface SandboxObject extends Body {
  readonly id: string;
  readonly status: string;
  readonly created_at: string;
  readonly expires_at: string;
}

/** As many, because a client that calls often is refused: a test of other things is several clients. */
const admins = Array.from({ length: 8 }, () =>
  newApiKey('acme', ['claim', 'exec', 'files', 'ports', 'admin']),
);
const [admin = newApiKey('acme', ['admin'])] = admins;
const user = newApiKey('acme', ['claim', 'exec', 'files', 'ports']);
const runner = newApiKey('acme', ['claim', 'exec']);
const viewer = newApiKey('acme', ['claim']);
const stranger = newApiKey('other', ['claim', 'exec', 'files', 'ports', 'admin']);

/** Keys of three roles in one tenant, and one of another tenant. */
export const keys = {
  admin: admin.key,
  user: user.key,
  /** A user without files. */
  runner: runner.key,
  viewer: viewer.key,
  stranger: stranger.key,
} as const;

export interface XgenServiceOptions {
  readonly minReady?: number;
  /** Instead of the usual one. */
  readonly pools?: readonly PoolFile[];
  /** Of a service before this one. */
  readonly folder?: ServiceFolder;
  readonly env?: Readonly<Record<string, string>>;
}

/** What xgen clients ask for by default. */
export function basePool(minReady: number, template: PoolFile['template'] = {}): PoolFile {
  return {
    name: 'base',
    template: {
      image: 'warmpool/base',
      user: 'user',
      cwd: '/home/user',
      resources: { cpu: 1, memoryMb: 512, diskMb: 256, pids: 128 },
      ...template,
    },
    size: { minReady, maxReady: minReady, maxTotal: 64 },
  };
}

/** A whole service with the pool that xgen clients ask for by default, called as they call it. */
export class XgenService implements AsyncDisposable {
  readonly service: TestService;
  #calls = 0;

  static async start(options: XgenServiceOptions = {}): Promise<XgenService> {
    const { minReady = 2, pools = [basePool(minReady)], folder, env } = options;
    return new XgenService(
      await TestService.start({
        pools,
        ...(folder && { folder }),
        env: {
          WARMPOOL_RUNTIME: 'bubblewrap',
          WARMPOOL_API_KEYS: [...admins, user, runner, viewer, stranger].map(({ entry }) => entry).join(','),
          ...env,
        },
      }),
    );
  }

  private constructor(service: TestService) {
    this.service = service;
  }

  #nextAdmin(): string {
    this.#calls += 1;
    return admins[this.#calls % admins.length]?.key ?? keys.admin;
  }

  get origin(): string {
    return this.service.http;
  }

  /** As published clients do: a content type of JSON on every call. */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const { key = this.#nextAdmin(), authorization = `ApiKey ${key}`, body, headers } = options;
    const response = await fetch(`${this.origin}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(authorization !== null && { authorization }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? {} : JSON.parse(text) };
  }

  /** A running sandbox's object. */
  async create(body: object = {}, key?: string): Promise<SandboxObject> {
    const created = await this.call('POST', '/api/v1/sandboxes', { body, ...(key && { key }) });
    if (created.status !== 201) throw new Error(`create: ${created.status} ${JSON.stringify(created.body)}`);
    return created.body as SandboxObject;
  }

  async get(id: string): Promise<SandboxObject> {
    return (await this.call('GET', `/api/v1/sandboxes/${id}`)).body as SandboxObject;
  }

  socketUrl(id: string, query = ''): string {
    return `${this.origin.replace('http', 'ws')}/api/v1/sandboxes/${id}/ws${query}`;
  }

  connect(id: string, key: string = this.#nextAdmin()): Promise<XgenClient> {
    return XgenClient.connect(this.socketUrl(id), { headers: { authorization: `ApiKey ${key}` } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service[Symbol.asyncDispose]();
  }
}

export interface CallOptions {
  readonly key?: string;
  /** null: none at all. */
  readonly authorization?: string | null;
  readonly body?: object | string;
  readonly headers?: Readonly<Record<string, string>>;
}

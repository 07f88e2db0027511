import { isWarmpoolError } from '../../domain/errors.ts';
import { ServiceUnreachableError } from '../client-errors.ts';
import {
  type CallOptions,
  type CreateOptions,
  connect,
  type ListFilter,
  type WarmpoolClient,
} from '../grpc-client.ts';
import type { SandboxView } from '../views.ts';
import { WarmpoolClientError } from '../warmpool-client-error.ts';
import { NodeSandbox, openConnection } from './node-sandbox.ts';

export interface WarmpoolOptions {
  /** `host:port` of the service's gRPC. Default 127.0.0.1:50051. */
  readonly address?: string | undefined;
  /** `wp_…`. Absent for a service without keys. */
  readonly apiKey?: string | undefined;
}

/**
 * A service that hands out sandboxes. Errors are WarmpoolClientErrors whose codes are the service's own in small letters:
 * `pool_exhausted`, `template_not_found`, `sandbox_not_found`, `unauthenticated`, …, or `unreachable`.
 *
 *     using warmpool = new Warmpool();
 *     await using sandbox = await warmpool.create('base');
 *     console.log((await sandbox.exec('uname -a')).stdout);
 */
export class Warmpool implements Disposable {
  readonly #client: WarmpoolClient;
  readonly #apiKey: string | undefined;

  /** Does not connect yet: the first call does. */
  constructor(options: WarmpoolOptions = {}) {
    const { address = addressDefault, apiKey } = options;
    this.#apiKey = apiKey;
    this.#client = connect(address, apiKey === undefined ? {} : { apiKey });
  }

  /** Takes a ready sandbox of a template. `await using` deletes it at the end of the block. */
  async create(
    template: string,
    options: CreateOptions = {},
    call: CallOptions = {},
  ): Promise<ServiceSandbox> {
    const view = await translated(this.#client.create(template, options, call));
    return this.#sandbox(view, { isOurs: true });
  }

  /** A sandbox that is there. `await using` closes the connection to it and no more. */
  async get(id: string, call: CallOptions = {}): Promise<ServiceSandbox> {
    const view = await translated(this.#client.get(id, call));
    return this.#sandbox(view, { isOurs: false });
  }

  async *list(filter: ListFilter = {}, call: CallOptions = {}): AsyncGenerator<SandboxView, void> {
    try {
      yield* this.#client.list(filter, call);
    } catch (error) {
      throw translate(error);
    }
  }

  /** Settles when the sandbox is gone. */
  delete(id: string, call: CallOptions = {}): Promise<void> {
    return translated(this.#client.delete(id, call));
  }

  /** Sandboxes that were taken go on, with their connections. */
  close(): void {
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #sandbox(view: SandboxView, options: { readonly isOurs: boolean }): ServiceSandbox {
    if (view.wsUrl === '') {
      throw new WarmpoolClientError('unavailable', `no node serves the data plane of sandbox ${view.id} now`);
    }
    return new ServiceSandbox(this, view, {
      ...options,
      token: view.dataToken === '' ? this.#apiKey : view.dataToken,
    });
  }
}

/** A sandbox of a service: it can be deleted too. It connects at the first use. */
export class ServiceSandbox extends NodeSandbox {
  readonly id: string;
  /** As it was when it was asked for. */
  readonly info: SandboxView;
  readonly #warmpool: Warmpool;
  readonly #isOurs: boolean;

  constructor(
    warmpool: Warmpool,
    view: SandboxView,
    options: { readonly isOurs: boolean; readonly token: string | undefined },
  ) {
    super(openConnection({ wsUrl: view.wsUrl, token: options.token }));
    this.id = view.id;
    this.info = view;
    this.#warmpool = warmpool;
    this.#isOurs = options.isOurs;
  }

  /** Ends the sandbox, and settles when it is gone. */
  async delete(call: CallOptions = {}): Promise<void> {
    this.close();
    await this.#warmpool.delete(this.id, call);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOurs) await this.delete();
    else this.close();
  }
}

const addressDefault = '127.0.0.1:50051';

async function translated<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw translate(error);
  }
}

function translate(error: unknown): unknown {
  if (error instanceof ServiceUnreachableError) {
    return new WarmpoolClientError('unreachable', error.message, { cause: error });
  }
  if (!isWarmpoolError(error)) return error;
  return new WarmpoolClientError(error.code.toLowerCase(), error.message, { cause: error });
}

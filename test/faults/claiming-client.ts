import { credentials, type ServiceError } from '@grpc/grpc-js';
import { clientError } from '../../src/client/client-errors.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import { contract } from '../../src/grpc/wire/contract.ts';
import type { History } from './history.ts';

/**
 * One client with a connection of its own for each service (the client's own library shares one for all, and waits longer
 * and longer before it dials again). Whatever it is told but an answer, it asks the next service with the same request id.
 */
export class ClaimingClient implements Disposable {
  readonly #history: History;
  readonly #addresses: () => readonly string[];
  readonly #stubs = new Map<string, InstanceType<typeof contract.SandboxService>>();
  #next: number;

  /** `addresses` is asked before every call: services come and go. */
  constructor(history: History, addresses: () => readonly string[], first = 0) {
    this.#history = history;
    this.#addresses = addresses;
    this.#next = first;
  }

  /** Returns the sandbox that the request is given in the end. Rejects with what no repetition can mend. */
  async claim(request: ClaimingRequest): Promise<string> {
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const addresses = this.#addresses();
      const address = addresses[this.#next % addresses.length];
      const answer = address === undefined ? 'nobody' : await this.#attempt(address, request);
      if (typeof answer === 'object') return answer.sandbox;
      this.#next += 1;
      // Between a kill and the next start there may be nobody to ask.
      await new Promise<void>((resolve) => setTimeout(resolve, Math.min(200, 5 * attempt)));
    }
    throw new Error(`request ${request.requestId} was not served in ${attemptsMax} attempts`);
  }

  /** Once, and at this address: the answer of a repetition. */
  async replay(address: string, request: ClaimingRequest): Promise<string> {
    const answer = await this.#attempt(address, request);
    if (typeof answer === 'object') return answer.sandbox;
    throw new Error(`request ${request.requestId} was refused when it was asked again: ${answer}`);
  }

  #attempt(
    address: string,
    { tenant = '', requestId, template = 'base', onMiss = 'ON_MISS_FAIL', ttlSeconds = 0 }: ClaimingRequest,
  ): Promise<{ sandbox: string } | string> {
    const call = this.#history.newCall();
    const body = template;
    this.#history.add({ t: 'call', call, what: 'create', tenant, requestId, body, via: address, deadlineMs });
    return new Promise((resolve, reject) => {
      const request = {
        template,
        requestId,
        onMiss,
        ...(ttlSeconds > 0 && { timeout: { seconds: ttlSeconds } }),
      };
      this.#stub(address).createSandbox(request, { deadline: Date.now() + deadlineMs }, (error, response) => {
        if (error === null && response?.sandbox) {
          const sandbox = response.sandbox.id;
          this.#history.add({ t: 'answer', call, sandbox });
          resolve({ sandbox });
          return;
        }
        const failure =
          error === null ? new Error('the answer is empty') : clientError(error as ServiceError, address);
        const code = isWarmpoolError(failure) ? failure.code : 'UNREACHABLE';
        this.#history.add({ t: 'refusal', call, code });
        if (lasting.has(code) || (code === 'NO_CAPACITY' && onMiss === 'ON_MISS_FAIL')) reject(failure);
        else resolve(code);
      });
    });
  }

  #stub(address: string): InstanceType<typeof contract.SandboxService> {
    let stub = this.#stubs.get(address);
    if (stub === undefined) {
      stub = new contract.SandboxService(address, credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
        'grpc.initial_reconnect_backoff_ms': 20,
        'grpc.min_reconnect_backoff_ms': 20,
        'grpc.max_reconnect_backoff_ms': 100,
        'grpc.enable_channelz': 0,
      });
      this.#stubs.set(address, stub);
    }
    return stub;
  }

  [Symbol.dispose](): void {
    for (const stub of this.#stubs.values()) stub.close();
  }
}

export interface ClaimingRequest {
  readonly requestId: string;
  readonly template?: string;
  readonly onMiss?: 'ON_MISS_FAIL' | 'ON_MISS_COLD' | 'ON_MISS_WAIT';
  /** 0: the pool's. */
  readonly ttlSeconds?: number;
  /** For the history only: whose key the client has. */
  readonly tenant?: string;
}

/** What asking again does not mend. That there is no capacity is among it where the test has enough. */
const lasting: ReadonlySet<string> = new Set([
  'INVALID_REQUEST',
  'REQUEST_ID_REUSED',
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
  'TEMPLATE_NOT_FOUND',
  'INTERNAL',
]);
const deadlineMs = 10_000;
const attemptsMax = 1_000;

import type { Principal } from '../allocator/api.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import { type DataScope, type DataTokens, dataScopes } from './data-token.ts';

/** What a sandbox's owner is told of its data socket. */
export interface DataAddress {
  readonly wsUrl: string;
  /** Empty: the key has none of the scopes that a token can carry. */
  readonly token: string;
}

/** Where the data sockets of this service are, and the tokens that open them. */
export class DataAccess {
  readonly #tokens: DataTokens;
  readonly #baseUrl: string;
  readonly #baseUrlOf: (nodeId: string) => string | null;

  /**
   * `baseUrl` without a slash at its end: `wss://data.example.com`. `baseUrlOf` is where clients reach a node by
   * themselves; null: by way of this process.
   */
  constructor(
    tokens: DataTokens,
    baseUrl: string,
    baseUrlOf: (nodeId: string) => string | null = () => null,
  ) {
    this.#tokens = tokens;
    this.#baseUrl = baseUrl;
    this.#baseUrlOf = baseUrlOf;
  }

  urlOf({ id, nodeId }: Pick<SandboxRecord, 'id' | 'nodeId'>): string {
    return `${this.#baseUrlOf(nodeId) ?? this.#baseUrl}/warmpool/v1/sandboxes/${id}/connect`;
  }

  /** A token for one claim, with what of the key's scopes is about the inside of a sandbox. */
  tokenFor(principal: Principal, claimId: string): string {
    return this.prepareToken(principal, claimId)();
  }

  /** The same, signed together with what else is prepared in this turn of the event loop, or when it is asked for. */
  prepareToken({ tenant, scopes }: Principal, claimId: string): () => string {
    const granted = new Set<DataScope>(dataScopes.filter((scope) => scopes.has(scope)));
    return granted.size === 0 ? () => '' : this.#tokens.prepare({ tenant, claimId, scopes: granted });
  }
}

import type { Principal } from '../allocator/api.ts';
import type { DataAccess } from '../auth/data-access.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import type { Sandbox } from './gen/warmpool/v1/Sandbox.ts';

type DataFields = Pick<Sandbox, 'wsUrl' | 'dataToken'>;

/** Where the data socket of a running sandbox is and what opens it, for its owner. Nothing for one that does not run. */
export function dataFields(data: DataAccess | null, principal: Principal, record: SandboxRecord): DataFields {
  return new PreparedDataFields(data, principal).of(record);
}

/**
 * The same for a create: the token of its claim is prepared before the store has answered, so that it is signed while the
 * store works, together with those of the creates that came in the same turn of the event loop.
 */
export class PreparedDataFields {
  readonly #data: DataAccess | null;
  readonly #principal: Principal;
  #prepared: { readonly claimId: string; readonly token: () => string } | null = null;

  constructor(data: DataAccess | null, principal: Principal) {
    this.#data = data;
    this.#principal = principal;
  }

  readonly prepare = (claimId: string): void => {
    if (this.#data) this.#prepared = { claimId, token: this.#data.prepareToken(this.#principal, claimId) };
  };

  of(record: SandboxRecord): DataFields {
    const claimId = record.claim?.claimId;
    if (!this.#data || record.state !== 'running' || claimId === undefined) return {};
    if (this.#prepared?.claimId !== claimId) this.prepare(claimId);
    return { wsUrl: this.#data.urlOf(record), dataToken: this.#prepared?.token() ?? '' };
  }
}

import type { XgenCall } from '../../data-plane/xgen/xgen-observer.ts';
import type { Clock } from '../../domain/clock.ts';
import { timeOf } from './sandbox-view.ts';

/** As the published API shows it. */
export interface AuditEntry {
  readonly timestamp: string;
  /** Method and pattern: `POST /api/v1/sandboxes/{id}/exec`. */
  readonly action: string;
  readonly subject: string;
  readonly role: string;
  readonly status: number;
  readonly remote_ip: string;
  readonly sandbox_id?: string;
}

export interface AuditQuery {
  readonly limit: number;
  readonly offset: number;
  /** A part of it is enough; empty: any. */
  readonly action: string;
  /** Empty: any. */
  readonly subject: string;
}

/**
 * Who has changed what: the last calls of each tenant that change something or open a socket, refused ones too. It is
 * this process's own and begins anew with it. Calls without a good credential belong to no tenant and are not in it;
 * they are counted.
 *
 * Turned down: keeping it in the store. It would put a write beside every command, for a page that people look at.
 */
export class AuditLog {
  readonly #clock: Pick<Clock, 'wallMs'>;
  /** Tenants are those of the configured keys, so there are few. Newest last. */
  readonly #entries = new Map<string, AuditEntry[]>();

  constructor(clock: Pick<Clock, 'wallMs'>) {
    this.#clock = clock;
  }

  add({ method, path, status, caller, remoteAddress, sandboxId }: XgenCall): void {
    if (caller === null || (isReading.has(method) && !path.endsWith('/ws'))) return;
    const entries = this.#entries.get(caller.tenant) ?? [];
    this.#entries.set(caller.tenant, entries);
    entries.push({
      timestamp: timeOf(this.#clock.wallMs()),
      action: `${method} ${path}`,
      subject: caller.subject,
      role: caller.role,
      status,
      remote_ip: remoteAddress,
      ...(sandboxId !== '' && { sandbox_id: sandboxId.slice(0, 64) }),
    });
    if (entries.length > entriesMax) entries.shift();
  }

  /** Newest first; `total` counts all that match. */
  query(
    tenant: string,
    { limit, offset, action, subject }: AuditQuery,
  ): { readonly entries: readonly AuditEntry[]; readonly total: number } {
    const matching = (this.#entries.get(tenant) ?? [])
      .filter((entry) => entry.action.includes(action) && (subject === '' || entry.subject === subject))
      .reverse();
    return { entries: matching.slice(offset, offset + limit), total: matching.length };
  }
}

const isReading: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Of one tenant. */
const entriesMax = 1_000;

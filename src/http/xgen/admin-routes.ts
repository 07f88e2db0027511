import type { AllocatorApi } from '../../allocator/api.ts';
import type { AuditLog } from './audit-log.ts';
import { isActive, statusOf, tenantSandboxes } from './tenant-sandboxes.ts';
import type { XgenAnswer, XgenRequest } from './xgen-app.ts';

export interface AdminRoutesDeps {
  readonly allocator: Pick<AllocatorApi, 'listSandboxes' | 'listPools'>;
  readonly audit: AuditLog;
}

/** What an administrator of a tenant looks at: its own sandboxes and calls, and the pools, which are everybody's. */
export class AdminRoutes {
  readonly #deps: AdminRoutesDeps;

  constructor(deps: AdminRoutesDeps) {
    this.#deps = deps;
  }

  async summary({ caller }: XgenRequest): Promise<XgenAnswer> {
    const { allocator } = this.#deps;
    const [pools, records] = await Promise.all([
      allocator.listPools(caller),
      tenantSandboxes(allocator, caller),
    ]);
    const statuses = records.map(({ state }) => statusOf(state));
    return {
      status: 200,
      body: {
        active_sandboxes: statuses.filter(isActive).length,
        warm_pool: Object.fromEntries(
          pools.map(({ name, ready, target }) => [name, { available: ready, target }]),
        ),
        sandboxes_by_status: countEach(statuses),
        sandboxes_by_template: countEach(records.map(({ pool }) => pool)),
      },
    };
  }

  async metrics({ caller }: XgenRequest): Promise<XgenAnswer> {
    const records = await tenantSandboxes(this.#deps.allocator, caller);
    const active = records.filter(({ state }) => isActive(statusOf(state)));
    return { status: 200, body: { active_sandboxes: active.length } };
  }

  async warmPool({ caller }: XgenRequest): Promise<XgenAnswer> {
    const pools = await this.#deps.allocator.listPools(caller);
    const shown = pools.map(({ name, ready, target }) => ({ template: name, available: ready, target }));
    return { status: 200, body: { pools: shown } };
  }

  async auditLogs({ caller, query }: XgenRequest): Promise<XgenAnswer> {
    const body = this.#deps.audit.query(caller.tenant, {
      limit: count(query.get('limit')) || limitDefault,
      offset: count(query.get('offset')) ?? 0,
      action: query.get('action') ?? '',
      subject: query.get('subject') ?? '',
    });
    return { status: 200, body };
  }
}

function countEach(names: readonly string[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return Object.fromEntries(counts);
}

/** Undefined for what is no whole number from 0: a page is shown all the same. */
function count(text: string | null): number | undefined {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

const limitDefault = 50;

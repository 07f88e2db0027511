/** What a tenant may have of the service, over all pools. */
export interface TenantLimits {
  /** Sandboxes that are claimed and neither ended nor on their way out. null: any number. */
  readonly maxRunning: number | null;
  /** null: any number. */
  readonly createsPerSecond: number | null;
  /** Creates that may come at once after a pause; at least 1. */
  readonly createsBurst: number;
  /** By pool: the last ready ones that others cannot take, less those that the tenant has of the pool already. */
  readonly reserved: Readonly<Record<string, number>>;
}

/** Every tenant's limits, as they were configured. */
export interface TenantsSpec {
  /** Of those who are not named. */
  readonly others: TenantLimits;
  readonly named: Readonly<Record<string, TenantLimits>>;
}

/** Whose limits are which. */
export class TenantCatalog {
  readonly #named: ReadonlyMap<string, TenantLimits>;
  readonly #others: TenantLimits;

  constructor({ named, others }: TenantsSpec) {
    this.#named = new Map(Object.entries(named));
    this.#others = others;
  }

  /** null: nothing is counted for this tenant. */
  limitsOf(tenant: string): TenantLimits | null {
    const limits = this.#named.get(tenant) ?? this.#others;
    return limits.maxRunning === null && limits.createsPerSecond === null ? null : limits;
  }

  /** What is kept of a pool, by tenant. */
  reservedOf(pool: string): Readonly<Record<string, number>> {
    const shares = [...this.#named].map(([tenant, { reserved }]) => [tenant, reserved[pool] ?? 0] as const);
    return Object.fromEntries(shares.filter(([, count]) => count > 0));
  }
}

export const noLimits: TenantLimits = {
  maxRunning: null,
  createsPerSecond: null,
  createsBurst: 1,
  reserved: {},
};

/** Every tenant may have any number of everything. */
export const noTenantLimits: TenantsSpec = { others: noLimits, named: {} };

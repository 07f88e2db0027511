import { z } from 'zod';
import type { TenantLimits, TenantsSpec } from '../domain/tenant-limits.ts';
import { tenantPattern } from './api-keys.ts';

/**
 * What the `tenants` setting may say: limits by tenant, and under `*` those of every tenant that is not named. A tenant that
 * is named has what `*` says where it says nothing itself. In the environment it is the same as a JSON object.
 */

const countMax = 1_000_000;

function count(min: number) {
  const message = `must be a whole number from ${min} to ${countMax}`;
  return z.int({ error: message }).min(min, message).max(countMax, message);
}

const rateMessage = 'must be a number from 0.01 to 1000000';

const limits = {
  maxRunning: count(1),
  /** Slower than one in a hundred seconds is no rate but a ban. */
  createsPerSecond: z.number({ error: rateMessage }).min(0.01, rateMessage).max(1_000_000, rateMessage),
  createsBurst: count(1),
  reserved: z.record(z.string(), count(0), { error: 'must be a mapping of pool names to numbers' }),
};

/** What an unknown field of a tenant may have been meant to be. */
export const tenantFields = Object.keys(limits);

const mapping = {
  error: (issue: { readonly code?: string }) =>
    issue.code === 'invalid_type' ? 'must be a mapping of fields' : undefined,
};

const tenant = z.strictObject(limits, mapping).partial();

const tenantsMessage = 'must be a mapping of tenants, or * for all others, to their limits';

export const tenantsSchema = z.preprocess(
  (value) => (typeof value === 'string' ? parsedJson(value) : value),
  z
    .record(z.string(), tenant, { error: tenantsMessage })
    .superRefine((tenants, context) => {
      for (const [name, { reserved }] of Object.entries(tenants)) {
        const refuse = (message: string) => context.addIssue({ code: 'custom', path: [name], message });
        if (name === '*' && reserved !== undefined)
          refuse('reserves nothing: a share is for a tenant by its name');
        if (name !== '*' && !tenantPattern.test(name)) {
          refuse('must be *, or 1 to 63 of a-z, 0-9 and -, not starting or ending with -');
        }
      }
    })
    .transform(specOf),
);

function specOf(tenants: Readonly<Record<string, z.output<typeof tenant>>>): TenantsSpec {
  const { '*': common = {}, ...named } = tenants;
  return {
    others: limitsOf(common),
    named: Object.fromEntries(
      Object.entries(named).map(([name, own]) => [name, limitsOf({ ...common, ...own })]),
    ),
  };
}

/** A burst of two seconds' creates, one at least, unless it is said. */
function limitsOf({
  maxRunning,
  createsPerSecond,
  createsBurst,
  reserved,
}: z.output<typeof tenant>): TenantLimits {
  return {
    maxRunning: maxRunning ?? null,
    createsPerSecond: createsPerSecond ?? null,
    createsBurst: createsBurst ?? Math.max(1, Math.ceil((createsPerSecond ?? 0) * 2)),
    reserved: reserved ?? {},
  };
}

/** What is wrong with the pools that a tenant has shares in. More than a pool keeps ready would shut everybody else out. */
export function reservationErrors(
  { named }: TenantsSpec,
  pools: readonly { readonly name: string; readonly size: { readonly maxReady: number } }[],
): readonly string[] {
  const names = new Set(pools.map(({ name }) => name));
  const unknown = Object.entries(named).flatMap(([tenantName, { reserved }]) =>
    Object.keys(reserved)
      .filter((pool) => !names.has(pool))
      .map((pool) => `${tenantName} has a share of "${pool}", which is no pool`),
  );
  const tooMany = pools.flatMap(({ name, size }) => {
    const sum = Object.values(named).reduce((total, { reserved }) => total + (reserved[name] ?? 0), 0);
    return sum > size.maxReady
      ? [
          `${sum} sandboxes of pool "${name}" are reserved, which is over its size.maxReady (${size.maxReady})`,
        ]
      : [];
  });
  return [...unknown, ...tooMany];
}

/** What is no JSON stays a text, which the schema refuses. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

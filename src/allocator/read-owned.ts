import type { SandboxRecord } from '../domain/sandbox.ts';
import type { PoolStore } from '../store/pool-store.ts';

/** Tells the store that a sandbox is this tenant's, where a node of this process knows it; whether the store says so now. */
export type Vouch = (sandboxId: string, tenant: string) => Promise<boolean>;

/**
 * The record of a tenant's sandbox. Before its owner is told that there is none, the node has its say: the store may have
 * lost it, or given it out to somebody else (D9). That costs a look into a map, and only those who would be told so.
 */
export async function readOwned(
  { store, vouch }: { readonly store: Pick<PoolStore, 'get'>; readonly vouch: Vouch },
  sandboxId: string,
  tenant: string,
): Promise<SandboxRecord | null> {
  const record = await store.get(sandboxId, tenant);
  if (record !== null || !(await vouch(sandboxId, tenant))) return record;
  return store.get(sandboxId, tenant);
}

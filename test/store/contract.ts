import type { PoolStore } from '../../src/store/pool-store.ts';
import { StoreScenario } from '../support/store-scenario.ts';
import { claimContract } from './contract/claims.ts';
import { endingContract } from './contract/endings.ts';
import { eventContract } from './contract/events.ts';
import { leaseContract } from './contract/leases.ts';
import { limitContract } from './contract/limits.ts';
import { listingContract } from './contract/listings.ts';
import { nodeContract } from './contract/nodes.ts';
import { poolContract } from './contract/pools.ts';
import { raceContract } from './contract/races.ts';
import { registrationContract } from './contract/registrations.ts';
import { startContract } from './contract/starts.ts';
import { waitingContract } from './contract/waiting.ts';

/** An empty, open store; whoever asked for it disposes it. */
export type OpenStore = () => Promise<PoolStore>;

/** What each part of the suite gets: a name for its tests, and an empty store with the pool `base` to talk about. */
export interface Contract {
  readonly name: string;
  readonly open: OpenStore;
  readonly skip: string | false;
}

export async function openScenario(contract: Contract): Promise<StoreScenario & AsyncDisposable> {
  const store = await contract.open();
  return Object.assign(new StoreScenario(store), {
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  });
}

/** What every PoolStore does. Run once for each adapter. */
export function storeContract(contract: Contract): void {
  poolContract(contract);
  startContract(contract);
  claimContract(contract);
  leaseContract(contract);
  endingContract(contract);
  listingContract(contract);
  eventContract(contract);
  raceContract(contract);
  waitingContract(contract);
  limitContract(contract);
  registrationContract(contract);
  nodeContract(contract);
}

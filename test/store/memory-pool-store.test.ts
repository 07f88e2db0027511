import { SystemClock } from '../../src/domain/clock.ts';
import { MemoryPoolStore } from '../../src/store/memory/memory-pool-store.ts';
import { storeContract } from './contract.ts';

storeContract({
  name: 'memory',
  skip: false,
  open: async () => new MemoryPoolStore({ clock: new SystemClock() }),
});

import { socketContract } from './socket-contract.ts';
import { socketAdapters } from './socket-fixture.ts';
import { upgradeContract } from './upgrade-contract.ts';

for (const adapter of socketAdapters) {
  socketContract(adapter);
  upgradeContract(adapter);
}

import type { ConnectionProfile } from './redis-client.ts';
import { RedisConnection, type RedisConnectionDeps } from './redis-connection.ts';
import { replyCode } from './redis-errors.ts';
import type { RedisPlace } from './redis-url.ts';
import type { Script } from './script.ts';

/** One replica is what a failover needs. */
const replicasWanted = 1;
/** As long as a claim may be late for it: a replica that is near answers in a fraction of a millisecond. */
const waitMs = 50;

/**
 * Runs each script with a WAIT behind it, in one round trip: it answers when a replica has what the script wrote, or after a
 * moment without. That narrows the time in which a failover loses an answered claim; it does not close it, the nodes do (D7,
 * D9). A step that no replica confirmed stands and is counted: to take it back could be lost as well.
 *
 * WAIT holds up what comes behind it on its connection, so nothing else uses this one.
 */
export class DurableConnection extends RedisConnection {
  readonly #whenUnreplicated: () => void;

  constructor(
    deps: RedisConnectionDeps,
    place: RedisPlace,
    profile: ConnectionProfile,
    whenUnreplicated: () => void,
  ) {
    super(deps, place, profile);
    this.#whenUnreplicated = whenUnreplicated;
  }

  override async runUntracked(
    script: Script,
    key: string,
    ...keysAndArguments: (string | number)[]
  ): Promise<unknown> {
    const results = await this.client
      .pipeline()
      .evalsha(script.sha, script.keyCount, key, ...keysAndArguments)
      .wait(replicasWanted, waitMs)
      .exec();
    const [ran, waited] = results ?? [];
    if (ran?.[0] && notRun.has(replyCode(ran[0]) ?? '')) {
      // The first time on this server, or the slot is another one's by now: sent again in the plain way, which follows.
      const answer = await super.runUntracked(script, key, ...keysAndArguments);
      this.#whenUnreplicated();
      return answer;
    }
    if (ran === undefined || ran[0]) throw ran?.[0] ?? new Error('the pipeline was given up');
    if (waited === undefined || waited[0] || Number(waited[1]) < replicasWanted) this.#whenUnreplicated();
    return ran[1];
  }
}

const notRun: ReadonlySet<string> = new Set(['NOSCRIPT', 'MOVED', 'ASK', 'TRYAGAIN']);

/** Bounds that both stores keep, so that no single step can grow with the size of the store. */

/** Bad candidates one claim may discard; a claim that meets more of them counts as a miss and the next goes on. */
export const claimCandidatesMax = 32;
/** Claims that have ceased to wait and are cleared away by one step; those beyond are left to the next. */
export const goneWaitersMax = 128;
/** Turns are told apart within a round by the order of arrival, modulo this; rounds and arrivals share a number's 53 bits. */
export const arrivalsPerRound = 2 ** 20;
/** Events kept for resuming: per shard in Redis (trimmed roughly), per shard's worth in memory. About 2 MB a shard. */
export const eventsPerShardMax = 8_192;
/** Events in one batch of `follow`: a late follower catches up in steps that fit a few network packets. */
export const eventBatchMax = 256;

/** What a boot that never finished says in its record. */
export const bootTimeoutSentence = 'the boot did not finish before its deadline';

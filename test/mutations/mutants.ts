/**
 * T25: the guards of INVARIANTS.md, section 6, each with what removes it and the tests that have to notice. A guard that
 * can be taken out without a test failing is either no guard or not tested.
 */
export interface Mutant {
  /** As in section 6; a letter behind it where a guard stands in several places. */
  readonly id: string;
  readonly guard: string;
  /** Where it is, the exact text, and what stands there in the mutant. */
  readonly file: string;
  readonly text: string;
  readonly replacement: string;
  /** The file of the tests that must fail, and which of its tests are run. */
  readonly tests: string;
  readonly names: string;
  /** `soak`: its tests take too long for every run. */
  readonly tier: 'every run' | 'soak';
}

const lua = 'src/store/redis/lua';
const redisContract = 'test/store/redis-pool-store.test.ts';

export const mutants: readonly Mutant[] = [
  {
    id: 'M1',
    guard: 'the request id in the claim script',
    file: `${lua}/claim-sandbox.lua`,
    text: "local remembered = redis.call('GET', request_key)\n",
    replacement: 'local remembered = nil\n',
    tests: redisContract,
    names: 'D1 one request sent 32 times at once',
    tier: 'every run',
  },
  {
    id: 'M2',
    guard: 'the check of the journal in bind: a second claim id is let in',
    file: 'src/node/bind-journal.ts',
    text: 'if (sandbox.claim.claimId !== claim.claimId || record.incarnation < sandbox.incarnation) {',
    replacement: 'if (record.incarnation < sandbox.incarnation) {',
    tests: 'test/node/first-use.test.ts',
    names: 'D7 D8 I9 the node refuses another claim',
    tier: 'every run',
  },
  {
    id: 'M2b',
    guard: 'the same, under a store that is put back to before the claims',
    file: 'src/node/bind-journal.ts',
    text: 'if (sandbox.claim.claimId !== claim.claimId || record.incarnation < sandbox.incarnation) {',
    replacement: 'if (record.incarnation < sandbox.incarnation) {',
    tests: 'test/node/store-lost.test.ts',
    names: 'T13 M2 D9 a store put back to before the claims',
    tier: 'soak',
  },
  {
    id: 'M3',
    guard: 'the check of the incarnation in the scripts of a node',
    file: `${lua}/includes/fenced-record.lua`,
    text: 'if record.incarnation ~= tonumber(incarnation) then',
    replacement: 'if false then',
    tests: redisContract,
    names: 'D4 only its own node, at its present incarnation',
    tier: 'every run',
  },
  {
    id: 'M3b',
    guard: 'the check of the incarnation in the script that ends one',
    file: `${lua}/begin-stop.lua`,
    text: "if incarnation ~= '' and record.incarnation ~= tonumber(incarnation) then",
    replacement: 'if false then',
    tests: redisContract,
    names: 'D4 a stop of an incarnation that is gone is refused',
    tier: 'every run',
  },
  {
    id: 'M4',
    guard: 'the second look at the lease inside the reaping script',
    file: `${lua}/expire-sandbox.lua`,
    text: 'if deadline > now_ms then',
    replacement: 'if false then',
    tests: 'test/faults/keepalive-against-reaper.test.ts',
    names: 'T7 D12 what was renewed since the reaper looked',
    tier: 'every run',
  },
  {
    id: 'M5',
    guard: 'the check of the owner where a start slot is given up',
    file: `${lua}/includes/fenced-record.lua`,
    text: 'if record.node ~= node then',
    replacement: 'if false then',
    tests: redisContract,
    names: 'D4 only its own node, at its present incarnation',
    tier: 'every run',
  },
  {
    id: 'M6',
    guard: 'starting counted as ready',
    file: `${lua}/reserve-start.lua`,
    text: "if redis.call('ZCARD', pool .. ':ready') + starting >= target then",
    replacement: "if redis.call('ZCARD', pool .. ':ready') >= target then",
    tests: redisContract,
    names: 'D17 64 nodes that ask at once get no more slots than are wanted',
    tier: 'every run',
  },
  {
    id: 'M7',
    guard: 'the health of the store before an orphan is killed',
    file: 'src/node/reconciler.ts',
    text: 'return health.healthy && this.#deps.clock.monotonicMs() - health.sinceMs >= storeHealthyMs;',
    replacement: 'return health.healthy || !health.healthy;',
    tests: 'test/node/reconciler.test.ts',
    names: 'D13 nothing is killed while the store is unhealthy',
    tier: 'every run',
  },
  {
    id: 'M8',
    guard: 'the healer',
    file: 'src/store/redis/index-healer.ts',
    text: 'export async function healIndexes(',
    replacement:
      'export async function healIndexes(): Promise<HealReport> {\n  return { readded: 0, dropped: 0 };\n}\n\nasync function nobodyCalls(',
    tests: 'test/store/redis-damage.test.ts',
    names: 'T8 D5 lost members come back',
    tier: 'every run',
  },
  {
    id: 'M9',
    guard: 'looking beside being told, by those who wait for a pool',
    file: 'src/allocator/wait-for-ready.ts',
    text: 'const pollMs = 1_000;',
    replacement: 'const pollMs = 3_600_000;',
    tests: 'test/allocator/create-sandbox.test.ts',
    names: 'D6 with every event lost a waiting create',
    tier: 'soak',
  },
  {
    id: 'M9b',
    guard: 'the same, by those who wait for a cold start',
    file: 'src/allocator/create-sandbox.ts',
    text: 'const pollMs = 1_000;',
    replacement: 'const pollMs = 3_600_000;',
    tests: 'test/allocator/create-sandbox.test.ts',
    names: 'D6 with every event lost a cold start',
    tier: 'soak',
  },
  {
    id: 'M10',
    guard: 'the end of a socket whose client lets its queue run full',
    file: 'src/data-plane/uws-socket.ts',
    text: 'if (!this.#deps.queues.hasRoom(this.#queuedBytes, message.length)) {',
    replacement: 'if (this.#queuedBytes < 0) {',
    tests: 'test/data-plane/data-socket.test.ts',
    names: 'R4 closes with 1013 a client that lets its queue run full',
    tier: 'every run',
  },
  {
    id: 'M11',
    guard: 'the credit of a client on a channel',
    file: 'src/data-plane/client-channel.ts',
    text: 'if (payload.length > credit) {',
    replacement: 'if (payload.length > credit + 1e9) {',
    tests: 'test/faults/credit-is-kept.test.ts',
    names: 'D20 a client that sends beyond its credit',
    tier: 'every run',
  },
  {
    id: 'M11b',
    guard: 'the credit of a guest on a channel',
    file: 'src/guest-link/link-channel.ts',
    text: 'if (length > this.#outputCredit) {',
    replacement: 'if (length > this.#outputCredit + 1e9) {',
    tests: 'test/faults/credit-is-kept.test.ts',
    names: 'D20 a guest that sends beyond its credit',
    tier: 'every run',
  },
  {
    id: 'M12',
    guard: 'the tenant in what is looked up',
    file: `${lua}/read-sandbox.lua`,
    text: "if scope ~= 'any' and redis.call('HGET', key, 'tenant') ~= tenant then",
    replacement: 'if false then',
    tests: redisContract,
    names: 'A4 a foreign, an unclaimed and an unknown sandbox read alike',
    tier: 'every run',
  },
  {
    id: 'M14',
    guard: 'the journal written before the session is let in',
    file: 'src/node/node.ts',
    text: '      this.#deps.journal.bind(record);\n',
    replacement: '      setImmediate(() => this.#deps.journal.bind(record));\n',
    tests: 'test/node/first-use.test.ts',
    names: 'T6 M14 a node that is killed as it lets the first use in',
    tier: 'every run',
  },
];

/** Guards of things that are not built yet, and the folder that will have them: from then on they need a mutant. */
export const absentGuards: readonly {
  readonly id: string;
  readonly guard: string;
  /** Why there is nothing to take out. */
  readonly why: string;
  readonly folder: string;
}[] = [
  {
    id: 'M13',
    guard: 'the check of the resolved address before dialling',
    why: 'sandboxes have no network, and there is no egress that would dial for them',
    folder: 'src/egress',
  },
];

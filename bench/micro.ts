import { setMaxListeners } from 'node:events';
import { Bench as TinyBench } from 'tinybench';
import { encodeExecExit, encodeExecStart, parseExecExit } from '../protocol/exec-messages.ts';
import { type Frame, viewOf } from '../protocol/frame.ts';
import { payloadBytesMax } from '../protocol/limits.ts';
import { LinkDecoder } from '../protocol/link-decoder.ts';
import { linkOverheadBytes, writeLinkFrame } from '../protocol/link-framing.ts';
import { brokenRule, messageTypes } from '../protocol/message-types.ts';
import { assertCreateRequest } from '../src/allocator/validation.ts';
import { newDataKey } from '../src/auth/data-key.ts';
import { DataTokens } from '../src/auth/data-token.ts';
import { SystemClock } from '../src/domain/clock.ts';
import { newClaimId, newSandboxId, shardOfPool } from '../src/domain/ids.ts';
import { MemoryPoolStore } from '../src/store/memory/memory-pool-store.ts';
import { type Outcome, spread } from './outcome.ts';
import type { Bench, Subject } from './subject.ts';
import { claimRequest } from './subjects/claim-at-scale.ts';
import { PrefilledPool, prefilledSpec } from './subjects/prefilled-pool.ts';

/** The pieces of the hot path by themselves, to see which of them a change has moved. No gates. */
export const micro: Subject = { id: 'micro', run };

async function run(bench: Bench): Promise<readonly Outcome[]> {
  // Every task listens, and there are more than the ten that Node takes for a leak.
  setMaxListeners(0, bench.signal);
  const tiny = new TinyBench({ time: 500, warmupTime: 200, signal: bench.signal });
  addFrames(tiny);
  addIds(tiny);
  addValidation(tiny);
  addTokens(tiny);
  await addMemoryClaim(tiny);
  await tiny.run();
  const figures = tiny.tasks.map(({ name, result }) => {
    if (!('latency' in result)) throw new Error(`${name} did not run: ${result.state}`);
    const { samplesCount: count, p50, p99, max } = result.latency;
    return spread(
      name,
      { count, p50: p50 * 1_000, p95: Number.NaN, p99: p99 * 1_000, max: max * 1_000 },
      'µs',
    );
  });
  return [{ kind: 'measured', subject: 'micro', on: '', figures, gates: [], notes: [] }];
}

/** Output as it comes from a busy command: 16 KB a frame. */
function addFrames(tiny: TinyBench): void {
  const output = {
    type: messageTypes.Output.code,
    channel: 7,
    id: 7,
    payload: new Uint8Array(16_384).fill(0x61),
  };
  const bytes = Buffer.alloc(linkOverheadBytes + output.payload.length);
  const view = viewOf(bytes);
  writeLinkFrame(bytes, view, 0, output);
  tiny.add('write a 16 KB frame', () => void writeLinkFrame(bytes, view, 0, output));
  const decoder = new LinkDecoder();
  tiny.add('read a 16 KB frame', () => decoder.push(bytes, () => {}));
  addStream(tiny, 'read 1 MB in frames of 16 KB', 16_384);
  addStream(tiny, 'read 1 MB in frames of 64 KB', payloadBytesMax);
  const command = {
    argv: ['bash', '-c', 'echo hello'],
    env: { PATH: '/usr/bin:/bin', HOME: '/home/user', LANG: 'C.UTF-8' },
    cwd: '/home/user',
    user: 'user',
    stdin: false,
    timeoutMs: 30_000,
  };
  tiny.add('encode ExecStart', () => void encodeExecStart(command));
  const exit = encodeExecExit({ exitCode: 0, signal: null, timedOut: false, durationUs: 1_000 });
  tiny.add('parse ExecExit', () => void parseExecExit(exit));
}

/** As it comes from the kernel: pieces of 64 KB that frames span, each checked against the table. */
function addStream(tiny: TinyBench, name: string, payloadBytes: number): void {
  const frame = { type: messageTypes.Output.code, channel: 7, id: 0, payload: new Uint8Array(payloadBytes) };
  const frames = 1_048_576 / payloadBytes;
  const stream = Buffer.alloc(frames * (payloadBytes + linkOverheadBytes));
  let offset = 0;
  for (let index = 0; index < frames; index += 1)
    offset = writeLinkFrame(stream, viewOf(stream), offset, frame);
  const pieces = Array.from({ length: Math.ceil(stream.length / 65_536) }, (_, index) =>
    Buffer.from(stream.subarray(index * 65_536, (index + 1) * 65_536)),
  );
  const decoder = new LinkDecoder();
  const check = (given: Frame) => {
    if (brokenRule(given, 'responder', 'link') !== undefined)
      throw new Error('the bench wrote a wrong frame');
  };
  tiny.add(name, () => {
    for (const piece of pieces) decoder.push(piece, check);
  });
}

function addIds(tiny: TinyBench): void {
  tiny.add('a new sandbox id', () => void newSandboxId(3));
  tiny.add('the shard of a pool', () => void shardOfPool('base'));
}

function addValidation(tiny: TinyBench): void {
  const env = { CI: '1', API_URL: 'https://example.org', LANG: 'C.UTF-8', TERM: 'xterm' };
  const request = { template: 'base', env, metadata: { owner: 'bench', job: '42' }, timeoutMs: 60_000 };
  tiny.add('check a create request', () => assertCreateRequest(request));
}

/** The sixteenth that is prepared makes the signature that they share. */
function addTokens(tiny: TinyBench): void {
  const tokens = new DataTokens({ clock: new SystemClock() }, [newDataKey()]);
  const claims = { tenant: 'default', claimId: newClaimId(), scopes: new Set(['exec', 'files'] as const) };
  tiny.add('sign a data token', () => void tokens.issue(claims));
  tiny.add('sign 16 data tokens at once', () => {
    for (let index = 0; index < 16; index += 1) tokens.prepare(claims);
  });
}

/** Each call takes one, so one is added outside the measured time. */
async function addMemoryClaim(tiny: TinyBench): Promise<void> {
  const store = new MemoryPoolStore({ clock: new SystemClock() });
  await store.open();
  const pool = new PrefilledPool(store);
  await pool.declare();
  tiny.add(
    `claim from the memory store, pool ${prefilledSpec.name}`,
    async () => {
      const answer = await store.claim(claimRequest(newClaimId()));
      if (answer.kind !== 'claimed') throw new Error(`a claim was answered with ${answer.kind}`);
    },
    { beforeEach: () => pool.addReady() },
  );
}

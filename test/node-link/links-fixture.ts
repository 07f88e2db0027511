import { SystemClock } from '../../src/domain/clock.ts';
import type { SandboxRecord } from '../../src/domain/sandbox.ts';
import { NodeLinks } from '../../src/node-link/node-links.ts';
import type { NodeTls } from '../../src/node-link/node-socket.ts';
import { SilentLog } from '../support/silent-log.ts';

/** As much of a record as a link needs. */
export const record = {
  id: '07aaaaaaaaaaaaaaaaaa',
  nodeId: 'node-b',
  claim: { tenant: 'alice', claimId: 'c'.repeat(20) },
} as unknown as SandboxRecord;

export const receiver = { onFrame() {}, onLost() {} };

/** Idle links are closed, and late ones given up, when the test says so. */
export class StoppedClock extends SystemClock {
  readonly waiting = new Map<number, Set<() => void>>();

  override after(delayMs: number, callback: () => void): () => void {
    const calls = this.waiting.get(delayMs) ?? new Set();
    this.waiting.set(delayMs, calls.add(callback));
    return () => calls.delete(callback);
  }

  pass(delayMs: number): void {
    const calls = [...(this.waiting.get(delayMs) ?? [])];
    this.waiting.get(delayMs)?.clear();
    for (const call of calls) call();
  }
}

export function linksTo(
  node: { readonly url: string },
  options: { tls?: NodeTls; heldBytesMax?: number } = {},
) {
  const clock = new StoppedClock();
  const log = new SilentLog();
  const { tls = {}, ...rest } = options;
  const links = new NodeLinks({
    clock,
    log,
    addressOf: async () => node.url,
    tokenFor: ({ tenant, claimId }) => `${tenant}.${claimId}`,
    tls,
    ...rest,
  });
  return { clock, links, log };
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { WarmpoolClient } from '../client/grpc-client.ts';
import type { NodeSummary } from '../client/views.ts';
import { formatDuration } from './duration.ts';
import { Interrupted } from './failure.ts';
import { printable } from './printable.ts';
import { interruptible } from './sandbox-session.ts';

/**
 * Looks until nothing is left on the node, and says on stderr whenever less is. Throws when the drain will not come to its
 * end: it was taken back, or the node is not there to carry it out.
 */
export async function followDrain(client: WarmpoolClient, begun: NodeSummary): Promise<NodeSummary> {
  using interruption = interruptible();
  const { signal } = interruption;
  let node = begun;
  let said = '';
  for (;;) {
    const end = endOf(node);
    if (end !== null) return end;
    const line = leftSentence(node);
    if (line !== said) process.stderr.write(`${line}\n`);
    said = line;
    await sleep(lookMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) {
      process.stderr.write(`${printable(node.id)}: the drain goes on; warmpool uncordon takes it back\n`);
      throw new Interrupted(interruptSignalNumber);
    }
    node = await client.node(node.id);
  }
}

/** null: it goes on. */
function endOf(node: NodeSummary): NodeSummary | null {
  const { id, state } = node;
  if (state === 'drained' || (state === 'stopped' && countOf(node) === 0)) return node;
  if (state === 'lost')
    throw new Error(`node "${id}" was lost before it was empty; what was on it has failed`);
  if (state === 'stopped') throw new Error(`node "${id}" was shut down before it was empty`);
  if (state === 'active' || state === 'cordoned') throw new Error(`the drain of node "${id}" was taken back`);
  return null;
}

function leftSentence(node: NodeSummary): string {
  const { starting = 0, ready = 0, running = 0, stopping = 0 } = node.left ?? {};
  const parts = Object.entries({ running, starting, ready, stopping }).filter(([, count]) => count > 0);
  const left =
    parts.map(([name, count]) => `${count} ${name}`).join(', ') || 'nothing left, waiting for its word';
  // The end is told when it is near: it moves with every look, and would make a line of each.
  const { drainEndsInMs } = node;
  const end =
    drainEndsInMs === 0 && running > 0 ? ', being ended' : endHint(node.orderedForMs, drainEndsInMs);
  return `${printable(node.id)}: ${left}${end}`;
}

/** The whole time that the drain was given, which stays the same. */
function endHint(orderedForMs: number | null, drainEndsInMs: number | null): string {
  if (drainEndsInMs === null || drainEndsInMs === 0 || orderedForMs === null) return '';
  return `, ended ${formatDuration(Math.round((orderedForMs + drainEndsInMs) / 1_000) * 1_000)} after the order`;
}

function countOf({ left }: NodeSummary): number {
  return left === null ? 0 : left.starting + left.ready + left.running + left.stopping;
}

const lookMs = 500;
/** SIGINT, whichever of them it was. */
const interruptSignalNumber = 2;

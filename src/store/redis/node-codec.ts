import { parseSocketUrl } from '../../domain/socket-url.ts';
import type { HeardNode, LossAnswer, NodeOrder } from '../pool-store.ts';
import { parseJsonObject } from './record-codec.ts';
import { scriptStatus } from './script-status.ts';

/** All readable heartbeats; one that is not is told about and left out. */
export function parseNodes(answer: unknown, warn: (sentence: string) => void): readonly HeardNode[] {
  const [nowMs, flat] = answer as ListAnswer;
  const orders = parseOrders(answer);
  const nodes: HeardNode[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const nodeId = flat[index] ?? '';
    const node = parseNode(nodeId, flat[index + 1] ?? '', nowMs, orders.get(nodeId) ?? null);
    if (node === null) warn(`the stored heartbeat of node ${nodeId} is damaged and was left out`);
    else nodes.push(node);
  }
  return nodes.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
}

export function parseOrders(answer: unknown): ReadonlyMap<string, NodeOrder> {
  const [nowMs, , flat] = answer as ListAnswer;
  const orders = new Map<string, NodeOrder>();
  for (let index = 0; index + 1 < flat.length; index += 2) {
    orders.set(flat[index] ?? '', parseOrder(flat[index + 1] ?? '', nowMs));
  }
  return orders;
}

/** What the heartbeat was answered. */
export function parseGivenOrder(answer: unknown): NodeOrder | null {
  const [, nowMs, text] = answer as readonly [number, number, string | null];
  return typeof text === 'string' ? parseOrder(text, nowMs) : null;
}

export function lossAnswer(answer: unknown): LossAnswer {
  const [status, , first] = answer as readonly [number, number, number];
  if (status === scriptStatus.NOT_FOUND) return { kind: 'not_found' };
  return status === scriptStatus.NOT_DUE ? { kind: 'alive' } : { kind: 'lost', first: first === 1 };
}

function parseNode(nodeId: string, text: string, nowMs: number, order: NodeOrder | null): HeardNode | null {
  const beat = parseJsonObject(text);
  const status = typeof beat?.status === 'string' ? parseJsonObject(beat.status) : null;
  if (typeof beat?.at !== 'number' || status === null) return null;
  const { runtimes, pools = [], draining, obeys, sandboxes, capacity } = status;
  if (!Array.isArray(runtimes) || !Array.isArray(pools) || typeof draining !== 'boolean') return null;
  if (typeof sandboxes !== 'number' || typeof capacity !== 'number') return null;
  return {
    nodeId,
    runtimes: runtimes.map(String),
    pools: pools.map(String),
    draining,
    obeys: obeys === 'cordon' || obeys === 'drain' ? obeys : null,
    sandboxes,
    capacity,
    ...addressOf('dataUrl', status.dataUrl),
    ...addressOf('nodeUrl', status.nodeUrl),
    heartbeatAgeMs: Math.max(0, nowMs - beat.at),
    heartbeatAtMs: beat.at,
    lostForMs: typeof beat.lost === 'number' ? Math.max(0, nowMs - beat.lost) : null,
    order,
  };
}

/** One that cannot be read is an order all the same: the one that does no harm. */
function parseOrder(text: string, nowMs: number): NodeOrder {
  const { kind, at, timeout } = parseJsonObject(text) ?? {};
  const forMs = typeof at === 'number' ? Math.max(0, nowMs - at) : 0;
  if (kind !== 'drain') return { kind: 'cordon', forMs };
  return { kind, forMs, endsInMs: typeof timeout === 'number' ? Math.max(0, timeout - forMs) : null };
}

/**
 * Whoever can write to the store could have these name any host: a text that is no address of a WebSocket server is taken
 * for none. What is sent to one that is, is a token for one claim and nothing else.
 */
function addressOf<Name extends 'dataUrl' | 'nodeUrl'>(
  name: Name,
  stored: unknown,
): { readonly [Key in Name]?: string } {
  const text = typeof stored === 'string' && stored.length <= addressCharactersMax ? stored : '';
  const url = parseSocketUrl(text);
  return (url === null ? {} : { [name]: url }) as { readonly [Key in Name]?: string };
}

const addressCharactersMax = 512;

type ListAnswer = readonly [nowMs: number, nodes: readonly string[], orders: readonly string[]];

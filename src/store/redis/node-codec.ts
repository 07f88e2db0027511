import { parseSocketUrl } from '../../domain/socket-url.ts';
import type { NodeStatus } from '../pool-store.ts';
import { parseJsonObject } from './record-codec.ts';

/** All readable heartbeats; one that is not is told about and left out. */
export function parseNodes(
  answer: unknown,
  warn: (sentence: string) => void,
): readonly (NodeStatus & { readonly heartbeatAgeMs: number })[] {
  const [nowMs, flat] = answer as readonly [number, readonly string[]];
  const nodes: (NodeStatus & { readonly heartbeatAgeMs: number })[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const nodeId = flat[index] ?? '';
    const node = parseNode(nodeId, flat[index + 1] ?? '', nowMs);
    if (node === null) warn(`the stored heartbeat of node ${nodeId} is damaged and was left out`);
    else nodes.push(node);
  }
  return nodes.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
}

function parseNode(
  nodeId: string,
  text: string,
  nowMs: number,
): (NodeStatus & { heartbeatAgeMs: number }) | null {
  const beat = parseJsonObject(text);
  const status = typeof beat?.status === 'string' ? parseJsonObject(beat.status) : null;
  if (typeof beat?.at !== 'number' || status === null) return null;
  const { runtimes, draining, sandboxes, capacity } = status;
  if (!Array.isArray(runtimes) || typeof draining !== 'boolean') return null;
  if (typeof sandboxes !== 'number' || typeof capacity !== 'number') return null;
  return {
    nodeId,
    runtimes: runtimes.map(String),
    draining,
    sandboxes,
    capacity,
    ...addressOf('dataUrl', status.dataUrl),
    ...addressOf('nodeUrl', status.nodeUrl),
    heartbeatAgeMs: Math.max(0, nowMs - beat.at),
  };
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

import type { Config } from '../config/config.ts';
import { isLoopback } from '../config/listen-address.ts';
import type { NodeAddresses } from '../node/node.ts';
import type { Log } from '../observability/log.ts';

export interface BoundAddress {
  readonly host: string;
  readonly port: number;
}

export function addressText(bound: BoundAddress): string {
  return `${bound.host.includes(':') ? `[${bound.host}]` : bound.host}:${bound.port}`;
}

/** What `ws_url` begins with where a sandbox's node has nothing better: clients on this machine get there. */
export function clientUrl(config: Config, bound: BoundAddress, log: Log): string {
  if (config.dataUrl !== null) return config.dataUrl;
  if (!isAny(bound)) return dataUrlOf(config, addressText(bound));
  log.warn({}, 'ws_url says localhost: set WARMPOOL_DATA_URL to what clients reach the data port by');
  return localDataUrl(config, addressText(bound));
}

/** Of a data port of this machine, for this machine. */
export function localDataUrl(config: Config, address: string): string {
  return dataUrlOf(config, address.replace(/^(0\.0\.0\.0|\[::\]):/, 'localhost:'));
}

function dataUrlOf({ dataTls }: Config, address: string): string {
  return `${dataTls.certFile === null ? 'ws' : 'wss'}://${address}`;
}

/**
 * What a node tells the others of its data port. Clients are sent to it only where somebody said how they get there, or
 * where it listens on an address of its own: a client on another machine would look for 127.0.0.1 on its own. Nor are
 * they sent to one that cannot renew their tokens, unless somebody says so: allocators can.
 */
export function nodeAddresses(
  config: Config,
  bound: BoundAddress,
  log: Log,
  options: { readonly isBehindWorkers: boolean; readonly renewsTokens: boolean },
): NodeAddresses {
  const boundUrl = isAny(bound) ? null : dataUrlOf(config, addressText(bound));
  const dataUrl = config.dataUrl ?? (isLoopback(bound.host) || !options.renewsTokens ? null : boundUrl);
  const workersUrl = options.isBehindWorkers ? localDataUrl(config, addressText(bound)) : null;
  const nodeUrl = config.nodeUrl ?? boundUrl ?? workersUrl;
  if ((config.nodeUrl ?? boundUrl) === null && config.redisUrl !== null) {
    log.warn(
      { listen: addressText(bound) },
      'other processes cannot reach the sandboxes of this node: set WARMPOOL_NODE_URL to what they reach its data port by',
    );
  }
  return { ...(dataUrl !== null && { dataUrl }), ...(nodeUrl !== null && { nodeUrl }) };
}

function isAny({ host }: BoundAddress): boolean {
  return host === '0.0.0.0' || host === '::';
}

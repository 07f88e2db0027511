import { join } from 'node:path';
import type { ClosingStack } from '../closing-stack.ts';
import { WarmpoolError } from '../domain/errors.ts';
import type { PoolSpec } from '../domain/pool-spec.ts';
import { GuestLink } from '../guest-link/guest-link.ts';
import { BindJournal } from '../node/bind-journal.ts';
import { Node } from '../node/node.ts';
import { assertNodeIdIsFree } from '../node/node-id.ts';
import { NodePools } from '../node/node-pools.ts';
import type { Core } from './core.ts';
import { assignRuntimes, inspectRuntimes } from './host-runtimes.ts';

/** The sandboxes of this host: its runtimes, its journal of claims, and the node that fills the pools. */
export interface NodeRole {
  readonly node: Node;
  readonly pools: NodePools;
  /** Finds runtimes for pools that were added or changed. What it gives back takes them over, once the catalog has them. */
  prepareReload(pools: {
    readonly kept: ReadonlySet<string>;
    readonly touched: readonly PoolSpec[];
  }): Promise<() => void>;
}

/** Made, and not started: it says in its first heartbeat where its data port is, and that needs the node. */
export async function openNodeRole(core: Core, started: ClosingStack): Promise<NodeRole> {
  const { config, log, clock, metrics, store, catalog, feed } = core;
  await assertNodeIdIsFree({ store, clock }, config.nodeId);
  const candidates = await inspectRuntimes(core, started);
  let runtimes = await assignRuntimes(config.pools, core, candidates);
  if (runtimes.size === 0) {
    throw new WarmpoolError(
      'RUNTIME_UNAVAILABLE',
      'no pool can be carried by any runtime of this host (see above)',
    );
  }
  const pools = new NodePools(catalog, runtimes);
  const openGuest = (booted: { transport: GuestTransport; resync: boolean }) =>
    GuestLink.open(booted.transport, { clock, logger: log, resync: booted.resync, openTimeoutMs });
  const journal = started.use(
    BindJournal.open({ clock, observer: metrics, log }, join(config.stateFolder, 'claims.journal')),
  );
  const node = started.use(
    new Node(
      { store, journal, pools, feed, openGuest, clock, observer: metrics, log },
      {
        nodeId: config.nodeId,
        ...(config.nodeCapacity !== null && { capacity: config.nodeCapacity }),
      },
    ),
  );
  return {
    node,
    pools,
    async prepareReload({ kept, touched }) {
      const after = new Map([...runtimes].filter(([name]) => kept.has(name)));
      for (const [name, runtime] of await assignRuntimes(touched, core, candidates)) after.set(name, runtime);
      return () => {
        runtimes = after;
        pools.replaceRuntimes(after);
        node.syncPools();
      };
    },
  };
}

type GuestTransport = Parameters<typeof GuestLink.open>[0];

/** A guest answers Hello as its first act; on a loaded host its start may take a while. */
const openTimeoutMs = 10_000;

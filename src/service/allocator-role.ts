import { Allocator } from '../allocator/allocator.ts';
import { Placement } from '../allocator/placement.ts';
import { Reaper } from '../allocator/reaper.ts';
import { unreachable } from '../allocator/require-running.ts';
import { DataAccess } from '../auth/data-access.ts';
import { canSign } from '../auth/data-key.ts';
import { dataScopes } from '../auth/data-token.ts';
import type { ClosingStack } from '../closing-stack.ts';
import { assertThat } from '../domain/errors.ts';
import type { SandboxRecord } from '../domain/sandbox.ts';
import { type GrpcServer, startGrpcServer } from '../grpc/grpc-server.ts';
import { XgenDialect } from '../http/xgen/xgen-dialect.ts';
import type { Node } from '../node/node.ts';
import { NodeLinks } from '../node-link/node-links.ts';
import type { Core } from './core.ts';
import { readNodeTls } from './link-tls.ts';

/** The use cases, of which any process of the service may have as many as it likes: they hold no state. */
export interface AllocatorRole {
  readonly allocator: Allocator;
  readonly placement: Placement;
}

/** `node` is the one of this process; null where there is none. */
export function openAllocatorRole(core: Core, node: Node | null, started: ClosingStack): AllocatorRole {
  const { store, catalog, tenants, feed, clock, log, metrics, ownNodeId } = core;
  const placement = started.use(new Placement({ store, clock, log }));
  const links = started.use(openNodeLinks(core, placement));
  const allocator = new Allocator({
    store,
    catalog,
    feed,
    placement,
    clock,
    observer: metrics,
    limitsOf: (tenant) => tenants.limitsOf(tenant),
    startCold: (record) => node?.startCold(record) ?? null,
    remove: (record) => node?.remove(record) ?? null,
    guestOf: (record) => node?.guest(record) ?? null,
    reach: async (record, signal) => {
      if (record.nodeId === ownNodeId) throw unreachable(record);
      return links.enter(record, signal);
    },
    vouch: async (sandboxId, tenant) => (await node?.vouch(sandboxId, tenant)) ?? false,
    describePool: (name) => node?.describePool(name) ?? { runtime: '', note: '' },
    poolChanged: () => node?.syncPools(),
  });
  return { allocator, placement };
}

/** Connections to sandboxes of other nodes: each is opened with a token for one claim, signed by the key that all share. */
function openNodeLinks({ config, clock, log, tokens }: Core, placement: Placement): NodeLinks {
  return new NodeLinks({
    clock,
    log,
    addressOf: async (nodeId) => (await placement.find(nodeId))?.nodeUrl ?? null,
    tokenFor: (claim) => tokens.issue({ ...claim, scopes: new Set(dataScopes), hop: true }).token,
    tls: readNodeTls(config.nodeTls),
  });
}

/** Reapers may run everywhere: the store decides. */
export function openReaper(core: Core, node: Node | null, started: ClosingStack): Reaper {
  const { config, store, clock, metrics, log } = core;
  const onEnding = (record: SandboxRecord) => void node?.remove(record);
  return started.use(
    new Reaper({ store, clock, observer: metrics, log, onEnding }, { nodeTimeoutMs: config.nodeTimeoutMs }),
  );
}

export function openXgen(core: Core, { allocator }: AllocatorRole, started: ClosingStack): XgenDialect {
  const { config, store, feed, clock, log, metrics, keys, tokens, dataKey, ownNodeId } = core;
  assertThat(canSign(dataKey), 'whatever serves calls has the key that signs');
  const xgen = started.use(
    new XgenDialect(
      {
        allocator,
        keys,
        dataTokens: tokens,
        dataKey,
        clock,
        observer: metrics.dataPlane,
        log,
        ownStates: async () => {
          const own = ownNodeId === null ? [] : await store.inventory(ownNodeId);
          return own.filter(({ claim }) => claim !== undefined).map(({ state }) => state);
        },
        ownerOf: async (id) => (await store.get(id, null))?.claim?.tenant ?? null,
      },
      {
        externalUrl: config.httpUrl,
        previewDomain: config.previewDomain,
        previewAuth: config.previewAuth,
        trustedProxies: config.trustedProxies,
        requestsPerMinuteMax: config.xgenRequestsPerMinute,
      },
    ),
  );
  feed.listen({
    heard: ({ to, tenant, nodeId }) => {
      // Every process hears of every end: the one that had it counts it.
      if (to === 'stopped' && tenant !== null && nodeId === ownNodeId) xgen.metrics.deleted();
    },
    missed: () => {},
  });
  return xgen;
}

/** `dataUrl` leads to the data port of this process. */
export async function openGrpc(
  core: Core,
  { allocator, placement }: AllocatorRole,
  dataUrl: string,
  started: ClosingStack,
): Promise<GrpcServer> {
  const { config, log, tokens, ownNodeId } = core;
  const data = new DataAccess(tokens, dataUrl, (nodeId) =>
    nodeId === ownNodeId ? null : (placement.known(nodeId)?.dataUrl ?? null),
  );
  return started.use(
    await startGrpcServer({ allocator, keys: config.apiKeys, log, data }, { listen: config.grpcListen }),
  );
}

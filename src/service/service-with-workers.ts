import { dataKeyFileOf, loadDataKey } from '../auth/data-key.ts';
import { ClosingStack } from '../closing-stack.ts';
import type { Config } from '../config/config.ts';
import { variableOf } from '../config/settings.ts';
import { SystemClock } from '../domain/clock.ts';
import type { Log } from '../observability/log.ts';
import { localDataUrl } from './data-urls.ts';
import { type Service, startService, storeNameOf } from './service.ts';
import { Workers } from './workers.ts';

/**
 * The same service in several processes: this one has the sandboxes (in the role `all`) and the data port, and its workers
 * are allocators that share the ports of gRPC and HTTP. They use its sandboxes as those of any other node.
 */
export async function startServiceWithWorkers(
  config: Config,
  log: Log,
  sources: WorkerSources,
): Promise<Service> {
  // The role of the host takes a public key as well; its workers do not.
  if (config.dataKeyFile !== null) loadDataKey({ file: config.dataKeyFile, stateFolder: config.stateFolder });
  const started = new ClosingStack();
  try {
    const host =
      config.role === 'allocator'
        ? null
        : started.use(await startService({ ...config, role: 'node' }, log, { isBehindWorkers: true }));
    const workers = started.use(
      await Workers.start(
        { clock: new SystemClock(), log, ownFigures: host && (() => host.figures()) },
        {
          count: config.workers,
          drainTimeoutMs: config.drainTimeoutMs,
          env: { ...sources.env, ...workerVariables(config, host) },
          commandLine: [
            'serve',
            ...(sources.configFile === undefined ? [] : ['--config', sources.configFile]),
          ],
        },
      ),
    );
    const { grpc, http, data } = workers.addresses;
    return {
      addresses: { grpc, http, data: host?.addresses.data ?? data },
      storeName: storeNameOf(config),
      pools: async () => (await host?.pools()) ?? [],
      figures: async () => (await host?.figures()) ?? [],
      async reload() {
        await host?.reload();
        workers.reload();
      },
      [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
    };
  } catch (error) {
    await started[Symbol.asyncDispose]().catch((closing: unknown) => {
      log.warn({ err: closing }, 'not everything could be closed');
    });
    throw error;
  }
}

/** What this process was configured by: its workers read it anew. */
export interface WorkerSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly configFile?: string;
}

/** What is different for a worker; the environment goes before the file. */
function workerVariables(config: Config, host: Service | null): Readonly<Record<string, string>> {
  return {
    [variableOf.role]: 'allocator',
    [variableOf.workers]: '1',
    [variableOf.dataKey]: dataKeyFileOf({ file: config.dataKeyFile, stateFolder: config.stateFolder }),
    // Clients come to the data port of this process; a worker's own is of no use to anybody.
    ...(host && {
      [variableOf.dataListen]: '127.0.0.1:0',
      [variableOf.dataUrl]: config.dataUrl ?? localDataUrl(config, host.addresses.data),
    }),
  };
}

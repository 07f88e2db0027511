import { setTimeout as sleep } from 'node:timers/promises';
import { Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { AllocatorApi } from '../allocator/api.ts';
import { ApiKeys, type KeyEntry } from '../auth/api-keys.ts';
import type { DataAccess } from '../auth/data-access.ts';
import type { Log } from '../observability/log.ts';
import { ActiveCalls } from './active-calls.ts';
import { defaultDeadline } from './default-deadline.ts';
import type { Edge } from './edge.ts';
import { execService } from './exec-service.ts';
import { fileService } from './file-service.ts';
import { Listener } from './listener.ts';
import { nodeService } from './node-service.ts';
import { poolService } from './pool-service.ts';
import { reflectionService } from './reflection.ts';
import { sandboxService } from './sandbox-service.ts';
import { contract } from './wire/contract.ts';

/** Both ways. Exec's output limit and stdin fit it; more goes over ExecStream. */
const messageBytesMax = 4 * 1024 * 1024;
/** For each connection. Enough for a busy allocator client, and a bound on what one connection can make us hold. */
const concurrentStreamsMax = 1_000;

export interface GrpcServerDeps {
  readonly allocator: AllocatorApi;
  /** None: every caller is the tenant `default`; the configuration then allows loopback only. */
  readonly keys: readonly KeyEntry[];
  readonly log?: Log;
  /** Absent: sandboxes are shown without the address of a data socket. */
  readonly data?: DataAccess;
}

export interface GrpcAddress {
  readonly host: string;
  readonly port: number;
}

export interface GrpcServerOptions {
  /** Port 0 lets the system choose. */
  readonly listen: GrpcAddress;
  /** After this long a connection is asked to reconnect, so that clients spread over new servers. Absent: never. */
  readonly connectionAgeMaxMs?: number;
  /** For unary calls whose client set none. Default: 30 seconds. */
  readonly callDeadlineMs?: number;
  /** False: health says NOT_SERVING until `setServing(true)`. */
  readonly serving?: boolean;
}

/**
 * Serves the contract of proto/warmpool/v1, with the standard health service and reflection (both without a key: they
 * hold nothing of a tenant, and load balancers have none).
 */
export async function startGrpcServer(deps: GrpcServerDeps, options: GrpcServerOptions): Promise<GrpcServer> {
  const edge: Edge = {
    allocator: deps.allocator,
    keys: new ApiKeys(deps.keys),
    calls: new ActiveCalls(),
    log: deps.log ?? silent,
    data: deps.data ?? null,
    callDeadlineMs: options.callDeadlineMs ?? 30_000,
  };
  const interceptors = [defaultDeadline(edge.callDeadlineMs, edge.log)];
  const server = new Server({ ...serverOptions(options), interceptors });
  server.addService(contract.SandboxService.service, sandboxService(edge));
  server.addService(contract.ExecService.service, execService(edge));
  server.addService(contract.FileService.service, fileService(edge));
  server.addService(contract.NodeService.service, nodeService(edge));
  server.addService(contract.PoolService.service, poolService(edge));
  const health = new HealthImplementation();
  health.addToServer(server);
  reflectionService().addToServer(server);

  const { host, port } = options.listen;
  const connections = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = await Listener.open(host, port, (socket) => connections.injectConnection(socket)).catch(
    (cause: Error) => {
      server.forceShutdown();
      throw new Error(`cannot serve gRPC on ${host}, port ${port}: ${cause.message}`, { cause });
    },
  );
  const running = new GrpcServer(
    { server, listener, health, calls: edge.calls },
    { host, port: listener.port },
  );
  running.setServing(options.serving ?? true);
  return running;
}

/** States: serving or not (what health says) → draining → closed. */
export class GrpcServer implements AsyncDisposable {
  readonly address: GrpcAddress;
  readonly #parts: GrpcServerParts;
  #quiet: Promise<void> | null = null;

  constructor(parts: GrpcServerParts, address: GrpcAddress) {
    this.#parts = parts;
    this.address = address;
  }

  /** Calls that have not ended. */
  get activeCalls(): number {
    return this.#parts.calls.count;
  }

  /** What health says, for the service as a whole and for each of its parts. Calls are served either way. */
  setServing(serving: boolean): void {
    for (const name of healthNames) this.#parts.health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  /**
   * D19: health says NOT_SERVING, new calls and connections are refused, watches end with DRAINING, other calls have
   * `graceMs` to finish; then everything is cut. Settles when the port is free. May be called again, e.g. with 0.
   */
  async drain(graceMs: number): Promise<void> {
    const { server, listener, calls } = this.#parts;
    this.setServing(false);
    calls.drain();
    listener.stop();
    this.#quiet ??= new Promise((resolve) => server.tryShutdown(() => resolve()));
    const over = new AbortController();
    const passed = (delayMs: number) => sleep(delayMs, undefined, { signal: over.signal }).catch(() => {});
    // Once nothing is in progress, only last bytes and idle connections are waited for, and those not for long.
    const idle = calls.idle().then(() => passed(Math.min(graceMs, lastBytesMs)));
    await Promise.race([this.#quiet, idle, passed(graceMs)]);
    over.abort();
    server.forceShutdown();
    await listener.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0);
  }
}

interface GrpcServerParts {
  readonly server: Server;
  readonly listener: Listener;
  readonly health: HealthImplementation;
  readonly calls: ActiveCalls;
}

const lastBytesMs = 250;

const healthNames = [
  '',
  ...['SandboxService', 'ExecService', 'FileService', 'PoolService', 'NodeService'].map(
    (name) => `warmpool.v1.${name}`,
  ),
];

function serverOptions(options: GrpcServerOptions): ServerOptions {
  return {
    // Also the cap on what a compressed message may inflate to (A11): grpc-js stops inflating there.
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.max_concurrent_streams': concurrentStreamsMax,
    // A client that vanished without a word is noticed within 40 s, and its commands are killed.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
    // Saves bookkeeping for each call; the metrics say what it would.
    'grpc.enable_channelz': 0,
    ...(options.connectionAgeMaxMs !== undefined && {
      'grpc.max_connection_age_ms': options.connectionAgeMaxMs,
      'grpc.max_connection_age_grace_ms': 60_000,
    }),
  };
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { DataServer, DataTls, ListenOptions } from './data-server.ts';
import { pingMsDefault } from './heartbeat.ts';
import { NativeRoute, type NativeRouteDeps, nativeMessageBytesMax } from './native-route.ts';
import { SendQueues } from './send-queues.ts';
import { SocketDoor } from './socket-door.ts';
import { loadUws, startUwsDataServer } from './uws-data-server.ts';
import { startWsDataServer } from './ws-data-server.ts';
import { WsUpgrades } from './ws-upgrades.ts';

export interface DataPlaneOptions {
  readonly listen: ListenOptions;
  /** Absent or null: without TLS. */
  readonly tls?: DataTls | null;
  /** What an Origin header may say. */
  readonly allowedOrigins: readonly string[];
  readonly pingMs?: number;
  /** Other processes of this service listen on the same port: each connection comes to one of them. */
  readonly sharesPort?: boolean;
}

/**
 * The data sockets of one service: the data port, and the same sessions for upgrades on another port. Listening from the
 * start; draining ends every session.
 */
export class DataPlane implements AsyncDisposable {
  readonly address: DataServer['address'];
  readonly #door: SocketDoor;
  readonly #upgrades: WsUpgrades;
  readonly #server: DataServer;

  static async start(deps: NativeRouteDeps, options: DataPlaneOptions): Promise<DataPlane> {
    const { clock, observer, log } = deps;
    const pingMs = options.pingMs ?? pingMsDefault;
    const routes = [new NativeRoute(deps, { pingMs })];
    const door = new SocketDoor({ routes, clock, observer }, { allowedOrigins: options.allowedOrigins });
    const socketDeps = { clock, observer, queues: new SendQueues(), pingMs };
    const upgrades = new WsUpgrades(door, socketDeps);
    const uws = loadUws();
    if (typeof uws === 'string') {
      log.warn({ reason: uws }, 'the data port is served by ws: the addon of uWebSockets.js did not load');
    }
    const { listen, tls = null } = options;
    const server =
      typeof uws === 'string'
        ? await startWsDataServer(upgrades, listen, tls)
        : await startUwsDataServer(uws, door, socketDeps, {
            listen,
            tls,
            messageBytesMax: nativeMessageBytesMax,
            sharesPort: options.sharesPort ?? false,
          });
    return new DataPlane(door, upgrades, server);
  }

  private constructor(door: SocketDoor, upgrades: WsUpgrades, server: DataServer) {
    this.#door = door;
    this.#upgrades = upgrades;
    this.#server = server;
    this.address = server.address;
  }

  /** An upgrade on Node's HTTP server. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#upgrades.handle(request, socket, head);
  }

  /** New sockets are refused, those with nothing in progress end now, the others within `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    await this.#door.drain(graceMs);
    this.#server.stopListening();
    await this.#upgrades.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0);
    await this.#server[Symbol.asyncDispose]();
  }
}

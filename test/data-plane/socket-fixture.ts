import { once } from 'node:events';
import { type ClientOptions, WebSocket } from 'ws';
import type { ConnectionLimits } from '../../src/data-plane/connection-limits.ts';
import type { DataServer } from '../../src/data-plane/data-server.ts';
import type { DataSocket } from '../../src/data-plane/data-socket.ts';
import { type DataPlaneObserver, silentObserver } from '../../src/data-plane/observer.ts';
import { type Refusal, refusal } from '../../src/data-plane/refusal.ts';
import { SendQueues } from '../../src/data-plane/send-queues.ts';
import { SocketDoor } from '../../src/data-plane/socket-door.ts';
import type {
  Admitted,
  SocketRoute,
  SocketSession,
  UpgradeRequest,
} from '../../src/data-plane/socket-route.ts';
import { loadUws, startUwsDataServer } from '../../src/data-plane/uws-data-server.ts';
import { startWsDataServer } from '../../src/data-plane/ws-data-server.ts';
import type { WsSocketDeps } from '../../src/data-plane/ws-socket.ts';
import { WsUpgrades } from '../../src/data-plane/ws-upgrades.ts';
import { SystemClock } from '../../src/domain/clock.ts';
import { startHttpServer } from '../../src/http/http-server.ts';
import { Metrics } from '../../src/observability/metrics.ts';
import { within } from '../support/within.ts';

/** A way to serve data sockets: each passes the same suite. */
export interface SocketAdapter {
  readonly name: string;
  readonly skip: string | false;
  start(door: SocketDoor, deps: WsSocketDeps): Promise<DataServer>;
}

const listen = { host: '127.0.0.1', port: 0 };
const uws = loadUws();

export const socketAdapters: readonly SocketAdapter[] = [
  {
    name: 'uWebSockets.js',
    skip: typeof uws === 'string' ? uws : false,
    start: (door, deps) => {
      if (typeof uws === 'string') throw new Error(uws);
      return startUwsDataServer(uws, door, deps, { listen, messageBytesMax });
    },
  },
  {
    name: 'ws on the data port',
    skip: false,
    start: (door, deps) => startWsDataServer(new WsUpgrades(door, deps), listen),
  },
  {
    name: 'ws on the HTTP port',
    skip: false,
    start: async (door, deps) => {
      const upgrades = new WsUpgrades(door, deps);
      const http = await startHttpServer(
        {
          metrics: new Metrics([]),
          readiness: async () => ({ ready: true }),
          onUpgrade: (request, socket, head) => upgrades.handle(request, socket, head),
        },
        { listen },
      );
      return { ...http, stopListening() {}, [Symbol.asyncDispose]: () => http[Symbol.asyncDispose]() };
    },
  },
];

export const messageBytesMax = 65_545;

export interface FixtureOptions {
  readonly pingMs?: number;
  readonly queues?: SendQueues;
  readonly limits?: ConnectionLimits;
  readonly allowedOrigins?: readonly string[];
  readonly admit?: (request: UpgradeRequest, sandboxId: string) => Promise<Refusal | 'admit'>;
  /** Called with the socket as it opens, inside the upgrade. */
  readonly onOpen?: (socket: DataSocket) => void;
  readonly observer?: DataPlaneObserver;
}

/** One server with a route `/sandboxes/{id}` whose sessions keep what happens to them. */
export class SocketFixture implements AsyncDisposable {
  readonly sessions: RecordedSession[] = [];
  readonly queues: SendQueues;
  readonly door: SocketDoor;
  abandoned = 0;
  url = '';
  port = 0;
  #server: DataServer | null = null;
  readonly #wakes: (() => void)[] = [];

  static async start(adapter: SocketAdapter, options: FixtureOptions = {}): Promise<SocketFixture> {
    const fixture = new SocketFixture(options);
    const { pingMs = 60_000, observer = silentObserver } = options;
    const deps = { clock: new SystemClock(), observer, queues: fixture.queues, pingMs };
    fixture.#server = await adapter.start(fixture.door, deps);
    fixture.port = fixture.#server.address.port;
    fixture.url = `ws://127.0.0.1:${fixture.port}/sandboxes/box`;
    return fixture;
  }

  private constructor(options: FixtureOptions) {
    this.queues = options.queues ?? new SendQueues();
    const route: SocketRoute = {
      match: (path) => /^\/sandboxes\/([^/]+)$/.exec(path)?.[1] ?? null,
      admit: async (request, sandboxId) => {
        const answer = (await options.admit?.(request, sandboxId)) ?? 'admit';
        return answer === 'admit' ? this.#admitted(request, options) : answer;
      },
    };
    this.door = new SocketDoor(
      { routes: [route], clock: new SystemClock(), observer: options.observer ?? silentObserver },
      {
        allowedOrigins: options.allowedOrigins ?? [],
        ...(options.limits && { limits: options.limits }),
      },
    );
  }

  /** A client whose upgrade has been answered; the session of the server is the newest of `sessions`. */
  async connect(options: ClientOptions & { protocols?: string[]; url?: string } = {}): Promise<WebSocket> {
    const { protocols = [], url = this.url, ...rest } = options;
    const ws = new WebSocket(url, protocols, { perMessageDeflate: false, ...rest });
    ws.on('error', () => {});
    await within(once(ws, 'open'), () => `the upgrade of ${url}`);
    return ws;
  }

  async both(options: ClientOptions = {}): Promise<{ client: WebSocket; session: RecordedSession }> {
    const count = this.sessions.length;
    const client = await this.connect(options);
    const session = await this.session(count);
    return { client, session };
  }

  async session(index: number): Promise<RecordedSession> {
    for (;;) {
      const session = this.sessions[index];
      if (session) return session;
      const opened = new Promise<void>((resolve) => this.#wakes.push(resolve));
      await within(opened, () => `session ${index}; there were ${this.sessions.length}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.door.drain(0);
    await this.#server?.[Symbol.asyncDispose]();
  }

  #admitted(request: UpgradeRequest, options: FixtureOptions): Admitted {
    return {
      kind: 'admitted',
      subprotocol: request.subprotocols[0] ?? null,
      messageBytesMax,
      open: (socket) => {
        const session = new RecordedSession(socket);
        this.sessions.push(session);
        for (const wake of this.#wakes.splice(0)) wake();
        options.onOpen?.(socket);
        return session;
      },
      abandon: () => {
        this.abandoned += 1;
      },
    };
  }
}

/** What happened on one socket, kept; the bytes are copied, as a session must. */
export class RecordedSession implements SocketSession {
  readonly socket: DataSocket;
  readonly messages: { bytes: Buffer; isBinary: boolean }[] = [];
  readonly closes: number[] = [];
  drains = 0;
  echoes = false;
  onMessageHook: () => void = () => {};
  #wake: () => void = () => {};

  constructor(socket: DataSocket) {
    this.socket = socket;
  }

  onMessage(message: Uint8Array, isBinary: boolean): void {
    const bytes = Buffer.from(message);
    this.messages.push({ bytes, isBinary });
    if (this.echoes) this.socket.send(bytes);
    this.onMessageHook();
    this.#wake();
  }

  onDrain(): void {
    this.drains += 1;
    this.#wake();
  }

  onClose(code: number): void {
    this.closes.push(code);
    this.#wake();
  }

  drain(): void {
    this.socket.close(1001, 'draining');
  }

  end(): void {
    this.socket.close(1001, 'ended');
  }

  /** Settles when the condition holds after something has happened on this socket. */
  async until(condition: (session: RecordedSession) => boolean): Promise<void> {
    const seen = () =>
      `a session; it had ${this.messages.length} messages, ${this.drains} drains, closes ${this.closes.join()}`;
    while (!condition(this)) {
      const changed = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await within(changed, seen);
    }
  }
}

export async function closeOf(client: WebSocket): Promise<{ code: number; reason: string }> {
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    client.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  return within(closed, () => `the close; the client is in state ${client.readyState}`);
}

export const busy = refusal(503, 'STORE_UNAVAILABLE', 'try again', { retryAfterSeconds: 2 });

import { type Clock, pause } from '../domain/clock.ts';
import { ConnectionLimits } from './connection-limits.ts';
import type { DataSocket, DataSocketHandler } from './data-socket.ts';
import type { DataPlaneObserver } from './observer.ts';
import { type Refusal, refusal, refusalOf } from './refusal.ts';
import type { Admitted, SocketRoute, SocketSession, UpgradeRequest } from './socket-route.ts';

/**
 * Where every upgrade comes in, whichever port and adapter it came by. It owns the sockets that are open: their count,
 * and the end of them all when the service drains.
 *
 *   open ──drain──▶ draining (new upgrades are refused, sessions end when idle) ──patience over──▶ closed
 */
export class SocketDoor {
  readonly #deps: SocketDoorDeps;
  readonly #limits: ConnectionLimits;
  readonly #origins: ReadonlySet<string>;
  readonly #open = new Set<OpenSocket>();
  #draining = false;
  #onEmpty: () => void = () => {};

  constructor(deps: SocketDoorDeps, options: SocketDoorOptions) {
    this.#deps = deps;
    this.#limits = options.limits ?? new ConnectionLimits();
    this.#origins = new Set(options.allowedOrigins);
  }

  /** Sockets that are open now. */
  get size(): number {
    return this.#open.size;
  }

  /** Never rejects. What it admits is either opened or abandoned by the adapter, once. */
  async admit(request: UpgradeRequest): Promise<Refusal | Admission> {
    const answer = await this.#answer(request).catch((error: unknown) => refusalOf(error));
    if (answer.kind === 'refused') this.#deps.observer.upgradeAnswered('refused');
    return answer;
  }

  /** New upgrades are refused; sessions with nothing in progress end now, the others within `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    for (const socket of [...this.#open]) socket.session.drain();
    const over = new AbortController();
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      if (this.#open.size === 0) resolve();
    });
    await Promise.race([empty, pause(this.#deps.clock, graceMs, over.signal)]);
    over.abort();
    for (const socket of [...this.#open]) socket.session.end();
  }

  async #answer(request: UpgradeRequest): Promise<Refusal | Admission> {
    if (this.#draining) return draining;
    const found = this.#route(request.path);
    if (!found) return refusal(404, 'NOT_FOUND', 'there is no WebSocket at this path');
    if (request.origin !== undefined && !this.#origins.has(request.origin)) {
      return refusal(
        403,
        'PERMISSION_DENIED',
        'pages of this origin may not connect (WARMPOOL_DATA_ORIGINS)',
      );
    }
    const admitted = await found.route.admit(request, found.sandboxId);
    if (admitted.kind === 'refused') return admitted;
    // After the route has said who this is: a stranger takes up nobody's places.
    const place = this.#draining ? null : this.#limits.enter(found.sandboxId);
    if (place && 'leave' in place) return new Admission(this, this.#deps.observer, admitted, place.leave);
    admitted.abandon();
    if (!place) return draining;
    return place.full === 'sandbox'
      ? refusal(429, 'LIMIT_EXCEEDED', 'the sandbox has as many connections as it may have', {
          retryAfterSeconds: 1,
        })
      : refusal(503, 'LIMIT_EXCEEDED', 'the node has as many connections as it can hold', {
          retryAfterSeconds: 1,
        });
  }

  #route(path: string): { readonly route: SocketRoute; readonly sandboxId: string } | null {
    for (const route of this.#deps.routes) {
      const sandboxId = route.match(path);
      if (sandboxId !== null) return { route, sandboxId };
    }
    return null;
  }

  /** For Admission only. */
  opened(socket: OpenSocket): void {
    this.#open.add(socket);
    if (this.#draining) socket.session.drain();
  }

  /** For Admission only. */
  closed(socket: OpenSocket): void {
    this.#open.delete(socket);
    if (this.#open.size === 0) this.#onEmpty();
  }
}

export interface SocketDoorDeps {
  readonly routes: readonly SocketRoute[];
  readonly clock: Clock;
  readonly observer: DataPlaneObserver;
}

export interface SocketDoorOptions {
  /** What an Origin header may say, in full (`https://app.example.com`). Without that header it is no browser. */
  readonly allowedOrigins: readonly string[];
  readonly limits?: ConnectionLimits;
}

interface OpenSocket {
  readonly session: SocketSession;
}

/** A socket that may be opened: what the adapter holds between the answer and the upgrade. */
export class Admission {
  readonly kind = 'admitted';
  readonly subprotocol: string | null;
  readonly messageBytesMax: number;
  readonly #door: SocketDoor;
  readonly #observer: DataPlaneObserver;
  readonly #admitted: Admitted;
  readonly #leave: () => void;

  constructor(door: SocketDoor, observer: DataPlaneObserver, admitted: Admitted, leave: () => void) {
    this.subprotocol = admitted.subprotocol;
    this.messageBytesMax = admitted.messageBytesMax;
    this.#door = door;
    this.#observer = observer;
    this.#admitted = admitted;
    this.#leave = leave;
  }

  abandon(): void {
    this.#observer.upgradeAnswered('abandoned');
    this.#admitted.abandon();
    this.#leave();
  }

  open(socket: DataSocket): DataSocketHandler {
    this.#observer.upgradeAnswered('accepted');
    this.#observer.connectionOpened();
    const session = this.#admitted.open(socket);
    const open = { session };
    this.#door.opened(open);
    return {
      onMessage: (message, isBinary) => session.onMessage(message, isBinary),
      onDrain: () => session.onDrain(),
      onClose: (code) => {
        this.#observer.connectionClosed(code);
        session.onClose(code);
        this.#leave();
        this.#door.closed(open);
      },
    };
  }
}

const draining = refusal(503, 'DRAINING', 'the service is draining', { retryAfterSeconds: 1 });

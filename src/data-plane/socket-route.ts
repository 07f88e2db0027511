import type { DataSocket, DataSocketHandler } from './data-socket.ts';
import type { Refusal } from './refusal.ts';

/**
 * Who answers upgrades at which paths. The door (socket-door.ts) finds the route, has already checked the Origin and
 * the node's limit, and closes what it admitted when the service drains.
 */
export interface SocketRoute {
  /** The sandbox that a path of this route names, decoded; null: the path is not of this route. */
  match(path: string): string | null;
  /** Settles with a refusal, which is answered as HTTP before any upgrade, or with what will serve the socket. */
  admit(request: UpgradeRequest, sandboxId: string): Promise<Refusal | Admitted>;
}

/** An upgrade request, parsed once. Nothing in it has been checked but its form. */
export interface UpgradeRequest {
  /** As sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly origin: string | undefined;
  /** What the client offers, in its order. */
  readonly subprotocols: readonly string[];
  /** As text; empty when it is not known. */
  readonly remoteAddress: string;
}

export interface Admitted {
  readonly kind: 'admitted';
  /** One of those offered; null: none is chosen. */
  readonly subprotocol: string | null;
  /** Larger messages close the socket with 1009. The data port has no room for more than its own protocol needs. */
  readonly messageBytesMax: number;
  /** The upgrade is done: called once, at once, in place of `abandon`. May send and close. */
  open(socket: DataSocket): SocketSession;
  /** The client went away before its upgrade was answered. */
  abandon(): void;
}

/** What serves one socket. */
export interface SocketSession extends DataSocketHandler {
  /** The service drains: begin nothing new; close with 1001 as soon as nothing is in progress. */
  drain(): void;
  /** The service's patience is over: close with 1001 now. */
  end(): void;
}

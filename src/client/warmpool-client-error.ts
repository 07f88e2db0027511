import { ResponderError } from '../../protocol/channel-opener.ts';

/**
 * Every failure of the client's own API. `code` is what a program branches on: one of the list below, or, for a request that
 * the sandbox refused, the code of protocol/README.md section 9 (`not_found`, `command_not_found`, `no_space`, …).
 */
export class WarmpoolClientError extends Error {
  override readonly name = 'WarmpoolClientError';
  readonly code: WarmpoolClientErrorCode;
  readonly details: ClientErrorDetails;

  constructor(
    code: WarmpoolClientErrorCode,
    message: string,
    options: { readonly details?: ClientErrorDetails; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

export const connectionErrorCodes = [
  /** Nobody answered at the address, or whoever did is no warmpool node. */
  'unreachable',
  /** The credential is missing, wrong, expired, or was taken back. */
  'unauthenticated',
  /** The credential does not allow this, or the page's origin is not allowed. */
  'forbidden',
  /** No sandbox has this id: it never was, or it ended long ago. */
  'sandbox_not_found',
  /** The sandbox ends, or has ended; `details.reason` has the reason in the words of the service. */
  'sandbox_ended',
  /** The sandbox, or the agent in it, has failed. */
  'sandbox_failed',
  /** The sandbox has as many connections as it may have. */
  'too_many_connections',
  /** The node cannot serve now: it starts, drains, or is overloaded. Trying again is right. */
  'unavailable',
  /** The connection broke, and this was not something that outlives one. Whether it took effect is unknown. */
  'connection_lost',
  /** Output was dropped before it could be read again: `details.offset` is where it stops, `details.resumesAt` where more is. */
  'output_lost',
  /** The process ended while the connection was away, and its exit code went with it. */
  'exit_unknown',
  /** The other side broke the protocol, or says that this side did. */
  'protocol_error',
  /** Closed by this side: `close()` was called. */
  'closed',
  /** The result is larger than the caller said it takes. */
  'too_large',
] as const;
export type ConnectionErrorCode = (typeof connectionErrorCodes)[number];

/** The sandbox's own codes come from the wire: a newer node may know more of them. */
export type WarmpoolClientErrorCode = ConnectionErrorCode | (string & {});

export interface ClientErrorDetails {
  /** Why a sandbox ended: `deleted`, `lease_expired`, … */
  readonly reason?: string;
  /** The close code of the WebSocket, or the status of the refused upgrade. */
  readonly status?: number;
  readonly offset?: number;
  readonly resumesAt?: number;
  /** The number of a process that goes on without this client. */
  readonly process?: number;
}

/** What the layers below throw, as the client's API throws it. An AbortSignal's reason is passed on as it is. */
export function asClientError(error: unknown): unknown {
  if (!(error instanceof ResponderError)) return error;
  return new WarmpoolClientError(error.code, error.message, { cause: error });
}

import { status as grpcStatus, type ServiceError } from '@grpc/grpc-js';
import { type ErrorCode, errorCodes, WarmpoolError } from '../domain/errors.ts';
import type { Error__Output } from '../grpc/gen/warmpool/v1/Error.ts';
import { decodeStatusDetails, detailsKey, type StatusDetails } from '../grpc/wire/status-details.ts';

/** Nobody who speaks for warmpool answered: not started, another address, or the connection broke. */
export class ServiceUnreachableError extends Error {
  override readonly name = 'ServiceUnreachableError';
  readonly address: string;

  constructor(address: string, options: { cause: unknown }) {
    super(`no warmpool service answers at ${address}`, options);
    this.address = address;
  }
}

/** The error that the service's allocator threw, as far as it travelled; or ServiceUnreachableError. */
export function clientError(error: ServiceError, address: string): WarmpoolError | ServiceUnreachableError {
  const details = readDetails(error);
  if (details?.reason !== undefined) {
    return warmpoolError(details.reason, details.message, error, {
      ...(details.violations.length > 0 && { violations: details.violations }),
      ...(details.retryAfterMs !== undefined && { retryAfterMs: details.retryAfterMs }),
      facts: details.metadata,
    });
  }
  if (brokenConnection.has(error.code)) return new ServiceUnreachableError(address, { cause: error });
  return new WarmpoolError(codeOfStatus.get(error.code) ?? 'INTERNAL', error.details, {}, { cause: error });
}

/** An error answered inside a stream. */
export function streamError(error: Error__Output): WarmpoolError {
  return warmpoolError(error.reason, error.message, undefined, { facts: error.metadata });
}

function warmpoolError(
  reason: string,
  message: string,
  cause: unknown,
  details: WarmpoolError['details'],
): WarmpoolError {
  const known = errorCodes.find((code) => code === reason);
  // A newer service may know more reasons than this client.
  if (known === undefined) {
    const facts = { ...details.facts, reason };
    return new WarmpoolError('INTERNAL', message, { ...details, facts }, { cause });
  }
  return new WarmpoolError(known, message, details, { cause });
}

/**
 * What grpc-js makes of a connection that broke: INTERNAL when the end of the stream was seen before that of the
 * connection. The service's own failures of these kinds have details.
 */
const brokenConnection: ReadonlySet<grpcStatus> = new Set([grpcStatus.UNAVAILABLE, grpcStatus.INTERNAL]);

/** Statuses that grpc-js makes itself, without details. */
const codeOfStatus: ReadonlyMap<grpcStatus, ErrorCode> = new Map([
  [grpcStatus.CANCELLED, 'CANCELLED'],
  [grpcStatus.DEADLINE_EXCEEDED, 'DEADLINE_EXCEEDED'],
  [grpcStatus.INVALID_ARGUMENT, 'INVALID_REQUEST'],
  [grpcStatus.RESOURCE_EXHAUSTED, 'LIMIT_EXCEEDED'],
  [grpcStatus.UNAUTHENTICATED, 'UNAUTHENTICATED'],
  [grpcStatus.PERMISSION_DENIED, 'PERMISSION_DENIED'],
  [grpcStatus.UNIMPLEMENTED, 'UNSUPPORTED'],
]);

function readDetails(error: ServiceError): StatusDetails | undefined {
  // grpc-js rejects with an error that has no metadata when the call never left this process.
  const encoded = error.metadata?.get(detailsKey)[0];
  if (!(encoded instanceof Uint8Array)) return undefined;
  try {
    return decodeStatusDetails(encoded);
  } catch {
    return undefined;
  }
}

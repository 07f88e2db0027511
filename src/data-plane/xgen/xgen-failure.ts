import type { ErrorCode, WarmpoolError } from '../../domain/errors.ts';

/** The error codes of the dialect, and what a caller of HTTP gets with each. */
export const xgenStatuses = {
  INVALID_REQUEST: 400,
  INVALID_PARAMETER: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  SANDBOX_NOT_FOUND: 404,
  ROUTE_NOT_FOUND: 404,
  SANDBOX_NOT_READY: 409,
  SANDBOX_EXPIRED: 410,
  QUOTA_EXCEEDED: 429,
  INTERNAL: 500,
  SERVICE_UNAVAILABLE: 502,
  POD_CREATE_FAILED: 503,
  SIDECAR_UNREACHABLE: 503,
  EXEC_TIMEOUT: 504,
} as const;

export type XgenFailureCode = keyof typeof xgenStatuses;

const retryable: ReadonlySet<XgenFailureCode> = new Set([
  'SANDBOX_NOT_READY',
  'QUOTA_EXCEEDED',
  'INTERNAL',
  'SERVICE_UNAVAILABLE',
  'POD_CREATE_FAILED',
  'SIDECAR_UNREACHABLE',
]);

export type XgenDetails = Readonly<Record<string, string | number | readonly string[]>>;

/** Why a request of this dialect is refused. */
export class XgenFailure extends Error {
  override readonly name = 'XgenFailure';
  readonly code: XgenFailureCode;
  readonly details: XgenDetails | undefined;
  /** Differs from the code's own for a body that is too large. */
  readonly status: number;

  constructor(
    code: XgenFailureCode,
    message: string,
    details?: XgenDetails,
    status: number = xgenStatuses[code],
  ) {
    super(message);
    this.code = code;
    this.details = details;
    this.status = status;
  }
}

export type XgenVersion = 'v1' | 'v2';

/** In v1 the details are text that holds JSON, because clients there declare them so. */
export function xgenErrorBody(failure: XgenFailure, version: XgenVersion, requestId: string): object {
  const { code, message, details } = failure;
  if (version === 'v1') {
    return { error: message, code, ...(details && { details: JSON.stringify(details) }) };
  }
  return {
    code,
    message,
    ...(details && { details }),
    request_id: requestId,
    retryable: retryable.has(code),
  };
}

/** Total: a new failure of the core does not compile until it is decided here what these clients are told. */
const codeOf: Readonly<Record<ErrorCode, XgenFailureCode>> = {
  INVALID_REQUEST: 'INVALID_PARAMETER',
  REQUEST_ID_REUSED: 'INVALID_REQUEST',
  UNAUTHENTICATED: 'UNAUTHORIZED',
  PERMISSION_DENIED: 'FORBIDDEN',
  TEMPLATE_NOT_FOUND: 'INVALID_PARAMETER',
  POOL_NOT_FOUND: 'INVALID_PARAMETER',
  NODE_NOT_FOUND: 'INVALID_PARAMETER',
  SANDBOX_NOT_FOUND: 'SANDBOX_NOT_FOUND',
  SANDBOX_WRONG_STATE: 'SANDBOX_NOT_READY',
  SANDBOX_FAILED: 'SANDBOX_NOT_READY',
  // It is another claim's, and was never this client's to use: a new one is to be had.
  CLAIM_CONFLICT: 'SANDBOX_NOT_FOUND',
  NO_CAPACITY: 'POD_CREATE_FAILED',
  QUOTA_EXCEEDED: 'QUOTA_EXCEEDED',
  BOOT_FAILED: 'POD_CREATE_FAILED',
  IMAGE_MISSING: 'POD_CREATE_FAILED',
  STORE_UNAVAILABLE: 'SIDECAR_UNREACHABLE',
  RUNTIME_UNAVAILABLE: 'POD_CREATE_FAILED',
  NODE_UNREACHABLE: 'SIDECAR_UNREACHABLE',
  GUEST_UNREACHABLE: 'SIDECAR_UNREACHABLE',
  COMMAND_NOT_FOUND: 'INVALID_PARAMETER',
  COMMAND_NOT_EXECUTABLE: 'INVALID_PARAMETER',
  CWD_INVALID: 'INVALID_PARAMETER',
  USER_UNKNOWN: 'INTERNAL',
  USER_UNAVAILABLE: 'INTERNAL',
  PROCESS_UNKNOWN: 'INVALID_PARAMETER',
  PROCESS_TAKEN_OVER: 'INVALID_REQUEST',
  FILE_NOT_FOUND: 'INVALID_PARAMETER',
  FILE_EXISTS: 'INVALID_PARAMETER',
  NOT_A_DIRECTORY: 'INVALID_PARAMETER',
  IS_A_DIRECTORY: 'INVALID_PARAMETER',
  NOT_REGULAR: 'INVALID_PARAMETER',
  DIRECTORY_NOT_EMPTY: 'INVALID_PARAMETER',
  PATH_INVALID: 'INVALID_PARAMETER',
  FILE_PERMISSION_DENIED: 'INVALID_PARAMETER',
  FILE_SYSTEM_READ_ONLY: 'INVALID_PARAMETER',
  CROSS_DEVICE: 'INVALID_PARAMETER',
  NO_SPACE: 'INTERNAL',
  CHECKSUM_MISMATCH: 'INVALID_PARAMETER',
  ARCHIVE_INVALID: 'INVALID_PARAMETER',
  FILE_ERROR: 'INTERNAL',
  PORT_CLOSED: 'SERVICE_UNAVAILABLE',
  CONNECTION_RESET: 'SERVICE_UNAVAILABLE',
  LIMIT_EXCEEDED: 'QUOTA_EXCEEDED',
  UNSUPPORTED: 'INVALID_REQUEST',
  DRAINING: 'SIDECAR_UNREACHABLE',
  DEADLINE_EXCEEDED: 'SANDBOX_NOT_READY',
  CANCELLED: 'INTERNAL',
  INTERNAL: 'INTERNAL',
};

/** `sandboxId`: of the request's path, where it has one. */
export function xgenFailureOf(error: WarmpoolError, version: XgenVersion, sandboxId?: string): XgenFailure {
  const code = codeOf[error.code];
  const { violations, retryAfterMs, facts } = error.details;
  const expiredAtMs = Number(facts?.expired_at_ms);
  // v1 has no word for it: there it is not found.
  if (version === 'v2' && code === 'SANDBOX_NOT_FOUND' && Number.isSafeInteger(expiredAtMs)) {
    return new XgenFailure('SANDBOX_EXPIRED', 'the time of this sandbox is up', {
      sandbox_id: facts?.sandbox ?? '',
      expired_at_ms: expiredAtMs,
    });
  }
  const violation = violations?.[0];
  if (code === 'INVALID_PARAMETER' && violation) {
    return new XgenFailure(code, error.message, { field: violation.field, reason: violation.description });
  }
  if (code === 'QUOTA_EXCEEDED') {
    return new XgenFailure(code, error.message, { retry_after_ms: retryAfterMs ?? 1_000 });
  }
  if (sandboxId !== undefined && aboutSandbox.has(code)) {
    return new XgenFailure(code, error.message, { sandbox_id: sandboxId.slice(0, 64) });
  }
  if (code === 'INTERNAL' || code === 'POD_CREATE_FAILED') {
    return new XgenFailure(code, error.message, { reason: error.code.toLowerCase() });
  }
  return new XgenFailure(code, error.message);
}

const aboutSandbox: ReadonlySet<XgenFailureCode> = new Set([
  'SANDBOX_NOT_FOUND',
  'SANDBOX_NOT_READY',
  'SIDECAR_UNREACHABLE',
]);

export function forbidden(permission: string): XgenFailure {
  return new XgenFailure('FORBIDDEN', 'forbidden', { permission });
}

export function tooManyRequests(retryAfterMs: number): XgenFailure {
  return new XgenFailure('QUOTA_EXCEEDED', 'too many requests', { retry_after_ms: retryAfterMs });
}

/** Of what went wrong here, callers learn nothing but that; the log has it. */
export function unexpectedFailure(): XgenFailure {
  return new XgenFailure('INTERNAL', 'the request could not be answered', { reason: 'unexpected' });
}

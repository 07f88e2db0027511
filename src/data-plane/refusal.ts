import { type ErrorCode, isWarmpoolError, type WarmpoolError } from '../domain/errors.ts';

/** Why an upgrade does not happen, as it is answered over HTTP. */
export interface Refusal {
  readonly kind: 'refused';
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly retryAfterSeconds?: number;
}

export function refusal(
  status: number,
  code: string,
  message: string,
  options: { readonly retryAfterSeconds?: number } = {},
): Refusal {
  return { kind: 'refused', status, code, message, ...options };
}

export function refusalOf(error: unknown): Refusal {
  if (!isWarmpoolError(error)) return refusal(500, 'INTERNAL', 'the upgrade could not be answered');
  const retryAfterMs = error.details.retryAfterMs ?? retryAfterDefaultMs[error.code];
  return refusal(statusOf(error), error.code, error.message, {
    ...(retryAfterMs !== undefined && { retryAfterSeconds: Math.ceil(retryAfterMs / 1_000) }),
  });
}

export interface HttpAnswer {
  readonly statusLine: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** The same on every adapter. The connection is closed behind it. */
export function httpAnswer(refused: Refusal): HttpAnswer {
  const { status, code, message, retryAfterSeconds } = refused;
  const headers: [string, string][] = [['Content-Type', 'application/json']];
  if (retryAfterSeconds !== undefined) headers.push(['Retry-After', String(retryAfterSeconds)]);
  if (status === 401) headers.push(['WWW-Authenticate', 'Bearer']);
  return {
    statusLine: `${status} ${phrases[status] ?? 'Refused'}`,
    headers,
    body: JSON.stringify({ error: { code, message } }),
  };
}

function statusOf(error: WarmpoolError): number {
  return statuses[error.code];
}

/** Total: a new code does not compile until this edge answers it. */
const statuses: Readonly<Record<ErrorCode, number>> = {
  INVALID_REQUEST: 400,
  REQUEST_ID_REUSED: 409,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  TEMPLATE_NOT_FOUND: 404,
  POOL_NOT_FOUND: 404,
  NODE_NOT_FOUND: 404,
  SANDBOX_NOT_FOUND: 404,
  SANDBOX_WRONG_STATE: 409,
  SANDBOX_FAILED: 409,
  CLAIM_CONFLICT: 409,
  NO_CAPACITY: 503,
  QUOTA_EXCEEDED: 429,
  BOOT_FAILED: 503,
  IMAGE_MISSING: 503,
  STORE_UNAVAILABLE: 503,
  RUNTIME_UNAVAILABLE: 503,
  NODE_UNREACHABLE: 503,
  GUEST_UNREACHABLE: 503,
  COMMAND_NOT_FOUND: 400,
  COMMAND_NOT_EXECUTABLE: 400,
  CWD_INVALID: 400,
  USER_UNKNOWN: 400,
  USER_UNAVAILABLE: 400,
  PROCESS_UNKNOWN: 404,
  PROCESS_TAKEN_OVER: 409,
  FILE_NOT_FOUND: 404,
  FILE_EXISTS: 409,
  NOT_A_DIRECTORY: 400,
  IS_A_DIRECTORY: 400,
  NOT_REGULAR: 400,
  DIRECTORY_NOT_EMPTY: 409,
  PATH_INVALID: 400,
  FILE_PERMISSION_DENIED: 403,
  FILE_SYSTEM_READ_ONLY: 409,
  CROSS_DEVICE: 400,
  NO_SPACE: 409,
  CHECKSUM_MISMATCH: 409,
  ARCHIVE_INVALID: 400,
  FILE_ERROR: 500,
  PORT_CLOSED: 409,
  CONNECTION_RESET: 503,
  LIMIT_EXCEEDED: 429,
  UNSUPPORTED: 400,
  DRAINING: 503,
  DEADLINE_EXCEEDED: 503,
  CANCELLED: 503,
  INTERNAL: 500,
};

/** For answers that mean "try again" and do not say when. */
const retryAfterDefaultMs: Partial<Record<ErrorCode, number>> = {
  STORE_UNAVAILABLE: 1_000,
  NODE_UNREACHABLE: 1_000,
  GUEST_UNREACHABLE: 1_000,
  LIMIT_EXCEEDED: 1_000,
  DRAINING: 1_000,
};

const phrases: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
};

/**
 * The closed catalogue of failures. Every edge has one total map from ErrorCode (a `Record<ErrorCode, …>`), so that a
 * new code does not compile until each edge answers it. Expected outcomes of the store and the runtimes are values;
 * this class is what a use case throws to its caller.
 */
export const errorCodes = [
  'INVALID_REQUEST',
  'REQUEST_ID_REUSED',
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
  'TEMPLATE_NOT_FOUND',
  'POOL_NOT_FOUND',
  'NODE_NOT_FOUND',
  'SANDBOX_NOT_FOUND',
  'SANDBOX_WRONG_STATE',
  'SANDBOX_FAILED',
  'CLAIM_CONFLICT',
  'NO_CAPACITY',
  'QUOTA_EXCEEDED',
  'BOOT_FAILED',
  'IMAGE_MISSING',
  'STORE_UNAVAILABLE',
  'RUNTIME_UNAVAILABLE',
  'NODE_UNREACHABLE',
  'GUEST_UNREACHABLE',
  'COMMAND_NOT_FOUND',
  'COMMAND_NOT_EXECUTABLE',
  'CWD_INVALID',
  'USER_UNKNOWN',
  'USER_UNAVAILABLE',
  'PROCESS_UNKNOWN',
  'PROCESS_TAKEN_OVER',
  'FILE_NOT_FOUND',
  'FILE_EXISTS',
  'NOT_A_DIRECTORY',
  'IS_A_DIRECTORY',
  'NOT_REGULAR',
  'DIRECTORY_NOT_EMPTY',
  'PATH_INVALID',
  'FILE_PERMISSION_DENIED',
  'FILE_SYSTEM_READ_ONLY',
  'CROSS_DEVICE',
  'NO_SPACE',
  'CHECKSUM_MISMATCH',
  'ARCHIVE_INVALID',
  'FILE_ERROR',
  'PORT_CLOSED',
  'CONNECTION_RESET',
  'LIMIT_EXCEEDED',
  'UNSUPPORTED',
  'DRAINING',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'INTERNAL',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** One bad field of a request: `field` is a path such as `env.FOO` or `argv[0]`. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface ErrorDetails {
  /** INVALID_REQUEST and the exec errors that are about one field. */
  readonly violations?: readonly FieldViolation[];
  /** When trying again makes sense. */
  readonly retryAfterMs?: number;
  /** Closed-set or identifying facts for programs: ids, states, limits. Never secrets. */
  readonly facts?: Readonly<Record<string, string>>;
}

export class WarmpoolError extends Error {
  override readonly name = 'WarmpoolError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

export function isWarmpoolError(error: unknown): error is WarmpoolError {
  return error instanceof WarmpoolError;
}

export function invalidRequest(violations: readonly FieldViolation[]): WarmpoolError {
  const summary = violations.map((violation) => `${violation.field}: ${violation.description}`).join('; ');
  return new WarmpoolError('INVALID_REQUEST', `invalid request: ${summary}`, { violations });
}

/** Never equal to or less than nothing: a programmer error is an assertion with a sentence, left on. */
export function assertThat(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${sentence}`);
}

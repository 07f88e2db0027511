import { status } from '@grpc/grpc-js';
import type { ErrorCode } from '../domain/errors.ts';

/** The canonical status of every error. Total: a new code does not compile until it has one. */
export const statusOf: Readonly<Record<ErrorCode, status>> = {
  INVALID_REQUEST: status.INVALID_ARGUMENT,
  REQUEST_ID_REUSED: status.INVALID_ARGUMENT,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  TEMPLATE_NOT_FOUND: status.NOT_FOUND,
  POOL_NOT_FOUND: status.NOT_FOUND,
  SANDBOX_NOT_FOUND: status.NOT_FOUND,
  SANDBOX_WRONG_STATE: status.FAILED_PRECONDITION,
  SANDBOX_FAILED: status.FAILED_PRECONDITION,
  NO_CAPACITY: status.RESOURCE_EXHAUSTED,
  BOOT_FAILED: status.UNAVAILABLE,
  IMAGE_MISSING: status.FAILED_PRECONDITION,
  STORE_UNAVAILABLE: status.UNAVAILABLE,
  RUNTIME_UNAVAILABLE: status.UNAVAILABLE,
  NODE_UNREACHABLE: status.UNAVAILABLE,
  GUEST_UNREACHABLE: status.UNAVAILABLE,
  // What is inside the sandbox is its state, not the request's shape: installing the command makes the call right.
  COMMAND_NOT_FOUND: status.FAILED_PRECONDITION,
  COMMAND_NOT_EXECUTABLE: status.FAILED_PRECONDITION,
  CWD_INVALID: status.FAILED_PRECONDITION,
  USER_UNKNOWN: status.FAILED_PRECONDITION,
  USER_UNAVAILABLE: status.FAILED_PRECONDITION,
  LIMIT_EXCEEDED: status.RESOURCE_EXHAUSTED,
  UNSUPPORTED: status.UNIMPLEMENTED,
  DRAINING: status.UNAVAILABLE,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELLED: status.CANCELLED,
  INTERNAL: status.INTERNAL,
};

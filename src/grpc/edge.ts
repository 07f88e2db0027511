import type { Metadata } from '@grpc/grpc-js';
import type { AllocatorApi, Principal } from '../allocator/api.ts';
import type { ApiKeys } from '../auth/api-keys.ts';
import type { DataAccess } from '../auth/data-access.ts';
import { assertMay, type Operation } from '../auth/operations.ts';
import type { Log } from '../observability/log.ts';
import type { ActiveCalls } from './active-calls.ts';

/** What every call of this edge needs. */
export interface Edge {
  readonly allocator: AllocatorApi;
  readonly keys: ApiKeys;
  readonly calls: ActiveCalls;
  readonly log: Log;
  /** null: there is no data plane to tell a sandbox's owner of. */
  readonly data: DataAccess | null;
  /** For unary calls without a deadline, and for the first message of an ExecStream. */
  readonly callDeadlineMs: number;
}

/** The first thing in every call: throws DRAINING, UNAUTHENTICATED or PERMISSION_DENIED, or says who calls. */
export function admit(edge: Edge, metadata: Metadata, operation: Operation): Principal {
  edge.calls.assertOpen();
  const authorization = metadata.get('authorization')[0];
  const principal = edge.keys.authenticate(authorization === undefined ? undefined : String(authorization));
  assertMay(principal, operation);
  return principal;
}

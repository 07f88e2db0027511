import { WarmpoolError } from '../../domain/errors.ts';
import { classifyRedisError, replyCode } from './redis-errors.ts';
import type { RedisPlace } from './redis-url.ts';

/**
 * Why a store could not be opened, as a sentence that says what to do. What the server said itself (wrong password, too many
 * clients) says more than that it could not be reached. Nothing of REDIS_URL is repeated but its form.
 */
export function openingFailure(place: RedisPlace, error: unknown): WarmpoolError {
  if (error instanceof WarmpoolError) return error;
  // The cluster client wraps what its last node said.
  const cause = lastNodeError(error) ?? error;
  const message = cause instanceof Error ? cause.message : '';
  if (/cluster support disabled/.test(message)) {
    return new WarmpoolError(
      'UNSUPPORTED',
      'this Redis cannot hold the store: it is no cluster, so write redis:// instead of redis+cluster:// in REDIS_URL',
      { facts: { component: 'redis' } },
      { cause },
    );
  }
  if (replyCode(cause) === 'CLUSTERDOWN') {
    return unreachable(
      'not all slots of the cluster are served: `redis-cli --cluster check HOST:PORT` says which, `redis-cli --cluster fix` mends it',
      cause,
    );
  }
  if (replyCode(cause) !== null) return classifyRedisError(cause);
  if (place.kind === 'sentinel') {
    return unreachable(
      `no sentinel of REDIS_URL says where the master \`${place.options.name}\` is: compare the addresses, the name and the sentinels' password with \`redis-cli -p 26379 SENTINEL masters\``,
      cause,
    );
  }
  const code = (cause as { code?: unknown } | null)?.code;
  return unreachable(`Redis could not be reached${typeof code === 'string' ? ` (${code})` : ''}`, cause);
}

function unreachable(why: string, cause: unknown): WarmpoolError {
  return new WarmpoolError(
    'STORE_UNAVAILABLE',
    `the store is unavailable: ${why}`,
    { retryAfterMs: 1_000 },
    { cause },
  );
}

function lastNodeError(error: unknown): unknown {
  return error instanceof Error && 'lastNodeError' in error ? error.lastNodeError : null;
}

--- @include "now"

-- The pool's hash and the sizes of its indexes, seen in one step.
local function pool_snapshot(pool)
  return {
    STATUS_DONE, redis.call('HGETALL', pool), redis.call('ZCARD', pool .. ':ready'),
    redis.call('ZCARD', pool .. ':starting'), redis.call('ZCARD', pool .. ':live'), now_ms,
    redis.call('ZCOUNT', pool .. ':waiting', '(' .. now_ms, '+inf'),
  }
end

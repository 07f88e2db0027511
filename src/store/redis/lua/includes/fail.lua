--- @include "transition"
--- @include "forget-request"

-- Ends a sandbox as failed. A boot that failed counts as such, and gives its request id back, so that the same request
-- may try again.
local function fail(shard, id, record, reason, failure, now_ms)
  if record.state == 'starting' then
    redis.call('HINCRBY', shard .. 'pool:' .. record.pool, 'startsFailed', 1)
    if record.request then forget_request(shard, id, record) end
  end
  redis.call('HSET', shard .. 'sandbox:' .. id, 'failure', failure)
  transition(shard, id, record, 'failed', reason, now_ms)
end

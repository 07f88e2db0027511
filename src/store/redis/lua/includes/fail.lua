--- @include "transition"

-- Ends a sandbox as failed. A boot that failed counts as such, and gives its request id back (only if that still
-- leads to this sandbox), so that the same request may try again.
local function fail(shard, id, record, reason, failure, now_ms)
  if record.state == 'starting' then
    redis.call('HINCRBY', shard .. 'pool:' .. record.pool, 'startsFailed', 1)
    if record.request then
      local request_key = shard .. 'request:' .. record.request
      local remembered = redis.call('GET', request_key)
      if remembered then
        local _, remembered_id = cmsgpack.unpack(remembered)
        if remembered_id == id then redis.call('DEL', request_key) end
      end
    end
  end
  redis.call('HSET', shard .. 'sandbox:' .. id, 'failure', failure)
  transition(shard, id, record, 'failed', reason, now_ms)
end

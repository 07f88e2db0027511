--- @include "append-event"

-- Changes the state of a record, takes the id out of the indexes of the state it leaves, and appends the event. The
-- caller has checked that the step is allowed, and adds to the indexes of the new state. All keys begin with `shard`.
local function transition(shard, id, record, to, reason, now_ms)
  local from = record.state
  local pool = shard .. 'pool:' .. record.pool
  redis.call('HSET', shard .. 'sandbox:' .. id, 'state', to)
  if reason ~= '' then redis.call('HSET', shard .. 'sandbox:' .. id, 'reason', reason) end
  redis.call('ZREM', shard .. 'leases', id)
  redis.call('ZREM', pool .. ':ready', id)
  redis.call('ZREM', pool .. ':starting', id)
  if ENDED[to] then redis.call('ZREM', pool .. ':live', id) end
  if record.shared and (to == 'stopping' or ENDED[to]) then redis.call('ZREM', pool .. ':share:' .. record.tenant, id) end
  append_event(shard .. 'events', now_ms, id, record, from, to, reason)
  record.state = to
end

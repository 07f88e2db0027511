#!lua flags=allow-oom
--[[
  Writes what a look at a pool found it to need, if no other look came between.

  KEYS[1] pool hash; its indexes are KEYS[1] followed by :ready, :starting, :live (same tag)
  ARGV    when the look that this one follows was made (empty: it is the first), when this one was, the size wanted,
          the whole demand as JSON
  Returns {DONE, pool hash, ready, starting, live, now, waiting} or {NO_POOL}
  Invariants: of several that follow the same look one is written, and all are told which. Only `wanted` decides
  anything here; the JSON is for whoever looks next.
]]
--- @include "pool-snapshot"
local pool = KEYS[1]
local follows, looked_at, wanted, demand = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call('HEXISTS', pool, 'spec') == 0 then return { STATUS_NO_POOL } end
if (redis.call('HGET', pool, 'lookedAt') or '') == follows then
  redis.call('HSET', pool, 'lookedAt', looked_at, 'wanted', wanted, 'demand', demand)
end
return pool_snapshot(pool)

#!lua flags=no-writes
--[[
  Reads a pool with its counts.

  KEYS[1] pool hash; its indexes are KEYS[1] followed by :ready, :starting, :live (same tag)
  Returns {DONE, pool hash, ready, starting, live, now, waiting} or {NO_POOL}
]]
--- @include "pool-snapshot"
local pool = KEYS[1]

if redis.call('EXISTS', pool) == 0 then return { STATUS_NO_POOL } end
return pool_snapshot(pool)

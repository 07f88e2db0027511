#!lua
--[[
  Overrides parts of a pool's size until its declaration changes.

  KEYS[1] pool hash; its indexes are KEYS[1] followed by :ready, :starting, :live (same tag)
  ARGV    the change as a JSON object
  Returns {DONE, pool hash, ready, starting, live, now, waiting} or {NO_POOL}
]]
--- @include "apply-size"
--- @include "pool-snapshot"
local pool = KEYS[1]
local change = cjson.decode(ARGV[1])

local known = redis.call('HMGET', pool, 'declared', 'overrides')
if not known[1] then return { STATUS_NO_POOL } end
local overrides = cjson.decode(known[2])
for name, value in pairs(change) do overrides[name] = value end
-- An empty Lua table would be written as a JSON array.
apply_size(pool, known[1], next(overrides) and cjson.encode(overrides) or '{}')
return pool_snapshot(pool)

#!lua
--[[
  Makes a pool known, or changes its spec version and size.

  KEYS[1] pool hash; its indexes are KEYS[1] followed by :ready, :starting, :live (same tag)
  ARGV    spec version, declared size as canonical JSON, what is reserved for which tenant as JSON (empty: as before)
  Returns {DONE, pool hash, ready, starting, live, now, waiting}
  Invariants: overrides of a running pool outlive a restart, but not a change of the declared size.
]]
--- @include "apply-size"
--- @include "pool-snapshot"
local pool = KEYS[1]
local spec_version, declared, reserved = ARGV[1], ARGV[2], ARGV[3]

-- A size that was declared before there were more fields says the same, as far as it goes.
local function says_the_same(before, now)
  if not before or before == now then return before == now end
  local size = cjson.decode(now)
  for name, value in pairs(cjson.decode(before)) do
    if size[name] ~= value then return false end
  end
  return #before < #now
end

local known = redis.call('HMGET', pool, 'declared', 'overrides')
local overrides = says_the_same(known[1], declared) and known[2] or '{}'
redis.call('HSET', pool, 'spec', spec_version)
-- Where nothing is reserved the field is not there: claims look no further.
if reserved == '{}' then redis.call('HDEL', pool, 'reserved')
elseif reserved ~= '' then redis.call('HSET', pool, 'reserved', reserved) end
apply_size(pool, declared, overrides)
return pool_snapshot(pool)

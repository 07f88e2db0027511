#!lua flags=no-writes
--[[
  The claims of a tenant in one shard whose sandboxes count as running.

  KEYS[1] the tenant's owned set  KEYS[2] prefix of records: the ids come out of the set, so their keys are formed here
  Returns {now, claim id …}
]]
--- @include "now"
local owned_set, sandbox_prefix = KEYS[1], KEYS[2]

local answer = { now_ms }
for _, id in ipairs(redis.call('ZRANGE', owned_set, 0, -1)) do
  local fields = redis.pcall('HMGET', sandbox_prefix .. id, 'state', 'claim')
  if fields[2] and COUNTED[fields[1]] then answer[#answer + 1] = fields[2] end
end
return answer

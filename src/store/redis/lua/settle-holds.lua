#!lua flags=allow-oom
--[[
  Puts a tenant's holds right by what it really runs: a process that died between charging and claiming has left one, a
  store that was put back may lack one.

  KEYS[1] the tenant's holds
  ARGV    how old a hold has to be to be dropped, in ms; then the claims whose sandboxes run
  Returns {DONE, now, holds added and dropped}
  Invariants: a hold that is younger than the list may be of a claim that is being made.
]]
--- @include "now"
local holds, age_ms = KEYS[1], tonumber(ARGV[1])

local running, changed = {}, 0
for position = 2, #ARGV do
  running[ARGV[position]] = true
  changed = changed + redis.call('ZADD', holds, 'NX', now_ms, ARGV[position])
end
for _, claim_id in ipairs(redis.call('ZRANGEBYSCORE', holds, '-inf', now_ms - age_ms)) do
  if not running[claim_id] then changed = changed + redis.call('ZREM', holds, claim_id) end
end
return { STATUS_DONE, now_ms, changed }

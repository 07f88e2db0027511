#!lua flags=no-writes
--[[
  Names the sandboxes of one shard whose lease or boot deadline has passed: candidates, expire-sandbox decides.

  KEYS[1] leases  KEYS[2] prefix of records: the ids come out of the index, so their keys are formed here
  ARGV    how many at most
  Returns {now, {id, deadline, incarnation} …}, oldest first; incarnation 0 when the record has none
]]
--- @include "now"
local leases, sandbox_prefix = KEYS[1], KEYS[2]
local limit = ARGV[1]

local due = { now_ms }
local members = redis.call('ZRANGEBYSCORE', leases, '-inf', now_ms, 'WITHSCORES', 'LIMIT', 0, limit)
for index = 1, #members, 2 do
  local incarnation = redis.pcall('HGET', sandbox_prefix .. members[index], 'incarnation')
  local known = type(incarnation) == 'string' and tonumber(incarnation) or 0
  due[#due + 1] = { members[index], members[index + 1], known }
end
return due

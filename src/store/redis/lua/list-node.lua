#!lua flags=no-writes
--[[
  Everything of one shard that is placed on a node and was not let go.

  KEYS[1] the node's set  KEYS[2] prefix of records: the ids come out of the set, so their keys are formed here
  Returns {now, {id, record} …}; a record is empty when it is gone
]]
--- @include "now"
local node_set, sandbox_prefix = KEYS[1], KEYS[2]

local answer = { now_ms }
for _, id in ipairs(redis.call('SMEMBERS', node_set)) do
  local record = redis.pcall('HGETALL', sandbox_prefix .. id)
  answer[#answer + 1] = { id, record.err and { 'type', 'wrong' } or record }
end
return answer

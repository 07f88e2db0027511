#!lua flags=no-writes
--[[
  One stretch of a tenant's sandboxes in one shard, newest first.

  KEYS[1] the tenant's owned set  KEYS[2] prefix of records: the ids come out of the set, so their keys are formed here
  ARGV    order to start at (+inf: the newest), id to start after (empty: none), how many at most
  Returns {now, {order, id, record} …}; a record is empty when it is gone
]]
--- @include "now"
local owned_set, sandbox_prefix = KEYS[1], KEYS[2]
local order, after_id, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])

local answer = { now_ms }
local offset = 0
while #answer <= limit do
  local members = redis.call('ZREVRANGEBYSCORE', owned_set, order, '-inf', 'WITHSCORES', 'LIMIT', offset, limit)
  if #members == 0 then break end
  for index = 1, #members, 2 do
    local id, id_order = members[index], members[index + 1]
    local beyond = after_id == '' or tonumber(id_order) < tonumber(order) or id < after_id
    if beyond and #answer <= limit then
      local record = redis.pcall('HGETALL', sandbox_prefix .. id)
      answer[#answer + 1] = { id_order, id, record.err and { 'type', 'wrong' } or record }
    end
  end
  offset = offset + limit
end
return answer

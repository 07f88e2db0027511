#!lua flags=allow-oom
--[[
  Drops the members of one index that no record justifies (D5). Never changes a record, and leaves a damaged one alone.

  KEYS[1] the index  KEYS[2] prefix of records: the ids come out of the index, so their keys are formed here
  ARGV    kind of index (leases, ready, starting, live, owned, node, share), whose it is (pool, tenant, node, or
          pool:tenant for a share; empty for leases), ids
  Returns {DONE, now, members dropped}
]]
--- @include "now"
--- @include "read-record"
local index, sandbox_prefix = KEYS[1], KEYS[2]
local kind, owner = ARGV[1], ARGV[2]

local function belongs(record, key)
  local kept = redis.call('PTTL', key) == -1
  if kind == 'leases' then return record.state == 'starting' or (LEASED[record.state] and record.tenant) end
  if kind == 'owned' then return record.tenant == owner and kept end
  if kind == 'node' then return record.node == owner and kept end
  if kind == 'share' then
    return record.tenant and record.pool .. ':' .. record.tenant == owner and COUNTED[record.state]
  end
  if record.pool ~= owner then return false end
  if kind == 'live' then return not ENDED[record.state] end
  if kind == 'starting' then return record.state == 'starting' and not record.tenant end
  return record.state == 'ready'
end

local dropped = 0
for position = 3, #ARGV do
  local id = ARGV[position]
  local key = sandbox_prefix .. id
  local record, refusal = read_record(key, now_ms)
  if refusal and refusal[1] == STATUS_NOT_FOUND or record and not belongs(record, key) then
    dropped = dropped + redis.call(kind == 'node' and 'SREM' or 'ZREM', index, id)
  end
end
return { STATUS_DONE, now_ms, dropped }

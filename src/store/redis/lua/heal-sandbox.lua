#!lua flags=allow-oom
--[[
  Puts a record back into the indexes that its state says it is in (D5). Changes of the record only its mark that it is
  in the index of a share.

  KEYS[1] the shard's prefix: leases, node set, owned set and the pool's indexes are formed from it, because only the
          record knows the pool, the tenant and the node
  ARGV    sandbox id
  Returns {DONE, now, members added again} or {NOT_FOUND | GARBLED, now, field}
]]
--- @include "now"
--- @include "read-record"
--- @include "share"
local shard = KEYS[1]
local id = ARGV[1]
local key = shard .. 'sandbox:' .. id

local record, refusal = read_record(key, now_ms)
if not record then return refusal end
local pool = shard .. 'pool:' .. record.pool
local times = redis.call('HMGET', key, 'created', 'ready', 'claimed')
local created_ms, ready_ms, claimed_ms = tonumber(times[1] or 0), tonumber(times[2] or 0), tonumber(times[3] or 0)

local added = 0
if record.state == 'starting' then
  added = added + redis.call('ZADD', shard .. 'leases', 'NX', record.deadline, id)
  if not record.tenant then added = added + redis.call('ZADD', pool .. ':starting', 'NX', record.deadline, id) end
elseif record.state == 'ready' then
  added = added + redis.call('ZADD', pool .. ':ready', 'NX', ready_ms * 1000, id)
elseif LEASED[record.state] and record.tenant then
  added = added + redis.call('ZADD', shard .. 'leases', 'NX', record.expires, id)
end
if not ENDED[record.state] then added = added + redis.call('ZADD', pool .. ':live', 'NX', created_ms, id) end
-- A record that has a time to live was let go by finish-stop.
if redis.call('PTTL', key) == -1 then
  added = added + redis.call('SADD', shard .. 'node:' .. record.node, id)
  if record.tenant then
    added = added + redis.call('ZADD', shard .. 'owned:' .. record.tenant, 'NX', claimed_ms * 1000, id)
  end
end
if record.tenant and COUNTED[record.state] and has_share(pool, record.tenant) then
  added = added + redis.call('ZADD', pool .. ':share:' .. record.tenant, 'NX', claimed_ms, id)
  redis.call('HSET', key, 'shared', '1')
end
return { STATUS_DONE, now_ms, added }

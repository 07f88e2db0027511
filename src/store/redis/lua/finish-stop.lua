#!lua flags=allow-oom
--[[
  The object is gone: the sandbox has stopped, or a failed one is let go. The record stays readable for a while.

  KEYS[1] the shard's prefix: record, events, node set, owned set and the pool's indexes are formed from it, because
          only the record knows the pool and the tenant
  ARGV    sandbox id, node id, incarnation
  Returns {DONE, now, record} or {NOT_FOUND | OTHER_NODE | STALE_INCARNATION | WRONG_STATE | GARBLED, now, state}
  Invariants: object gone first, record last (D14); a record that was let go is in no index.
]]
--- @transition stopping -> stopped
--- @include "now"
--- @include "fenced-record"
--- @include "transition"
--- @include "done"
local shard = KEYS[1]
local id, node, incarnation = ARGV[1], ARGV[2], ARGV[3]
local key = shard .. 'sandbox:' .. id

local record, refusal = fenced_record(key, node, incarnation, now_ms)
if not record then return refusal end
if record.state == 'stopping' then transition(shard, id, record, 'stopped', record.reason or '', now_ms) end
if not ENDED[record.state] then return { STATUS_WRONG_STATE, now_ms, record.state } end

if redis.call('PTTL', key) == -1 then
  redis.call('SREM', shard .. 'node:' .. node, id)
  if record.tenant then redis.call('ZREM', shard .. 'owned:' .. record.tenant, id) end
  local expired = record.reason == 'lease_expired' or record.reason == 'lifetime_exceeded'
  redis.call('PEXPIRE', key, expired and LIMIT_EXPIRED_RECORD_MS or LIMIT_ENDED_RECORD_MS)
end
return done(key, now_ms)

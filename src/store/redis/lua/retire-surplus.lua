#!lua flags=allow-oom
--[[
  Ends a ready sandbox that its pool has too many of.

  KEYS[1] the shard's prefix: record, leases, events and the pool's hash and indexes are formed from it, because only the
          record knows the pool
  ARGV    sandbox id, incarnation
  Returns {DONE, now, record}, {NO_SURPLUS, now}
          or {NOT_FOUND | STALE_INCARNATION | WRONG_STATE | GARBLED, now, state}
  Invariants: whether there are too many is seen in the step that ends one (D4), so nodes that look at the same time do
  not each end the same surplus.
]]
--- @transition ready -> stopping
--- @include "now"
--- @include "read-record"
--- @include "target"
--- @include "transition"
--- @include "done"
local shard = KEYS[1]
local id, incarnation = ARGV[1], ARGV[2]
local key = shard .. 'sandbox:' .. id

local record, refusal = read_record(key, now_ms)
if not record then return refusal end
if record.incarnation ~= tonumber(incarnation) then return { STATUS_STALE_INCARNATION, now_ms, record.state } end
if record.state == 'stopping' or record.state == 'stopped' then return done(key, now_ms) end
if record.state ~= 'ready' then return { STATUS_WRONG_STATE, now_ms, record.state } end

local pool = shard .. 'pool:' .. record.pool
local settings = redis.call('HMGET', pool, 'minReady', 'maxReady', 'wanted')
if settings[1] and redis.call('ZCARD', pool .. ':ready') <= target_of(settings[1], settings[2], settings[3]) then
  return { STATUS_NO_SURPLUS, now_ms }
end
transition(shard, id, record, 'stopping', 'scaled_down', now_ms)
return done(key, now_ms)

#!lua flags=allow-oom
--[[
  The node says that a boot came up: an unclaimed one becomes ready, a cold start becomes running and its lease begins.

  KEYS[1] the shard's prefix: record, leases, events and the pool's indexes are formed from it, because only the
          record knows the pool
  ARGV    sandbox id, node id, incarnation
  Returns {DONE, now, record} or {NOT_FOUND | OTHER_NODE | STALE_INCARNATION | WRONG_STATE | GARBLED, now, state}
  Invariants: only the sandbox's own node, at its present incarnation, moves it; a repeated report changes nothing.
]]
--- @transition starting -> ready
--- @transition starting -> running
--- @include "now"
--- @include "fenced-record"
--- @include "transition"
--- @include "done"
local shard = KEYS[1]
local id, node, incarnation = ARGV[1], ARGV[2], ARGV[3]
local key = shard .. 'sandbox:' .. id

local record, refusal = fenced_record(key, node, incarnation, now_ms)
if not record then return refusal end
if record.state == 'ready' or record.state == 'running' then return done(key, now_ms) end
if record.state ~= 'starting' then return { STATUS_WRONG_STATE, now_ms, record.state } end

redis.call('HSET', key, 'ready', now_ms)
-- What a replacement takes, from its reservation on: with the rate of claims it says how large the pool has to be.
local created = tonumber(redis.call('HGET', key, 'created') or now_ms)
redis.call('HINCRBY', shard .. 'pool:' .. record.pool, 'boots', 1)
redis.call('HINCRBY', shard .. 'pool:' .. record.pool, 'bootMs', math.max(0, now_ms - created))
if record.tenant then
  local end_of_life = now_ms + record.maxlife
  local expires = math.min(now_ms + record.ttl, end_of_life)
  redis.call('HSET', key, 'expires', expires, 'eol', end_of_life)
  transition(shard, id, record, 'running', '', now_ms)
  redis.call('ZADD', shard .. 'leases', expires, id)
else
  transition(shard, id, record, 'ready', '', now_ms)
  redis.call('ZADD', shard .. 'pool:' .. record.pool .. ':ready', now_us, id)
end
return done(key, now_ms)

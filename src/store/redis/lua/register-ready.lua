#!lua
--[[
  The node says that it has a sandbox which was booted for its pool and never used, in a store that may have lost it.

  KEYS[1] the shard's prefix: the sandbox's record and the events and node set are formed from it, so that one key routes
          all of them
  KEYS[2] pool hash; its indexes are KEYS[2] followed by :ready, :starting, :live (same tag)
  ARGV    sandbox id, pool name, node id, spec version, incarnation
  Returns {DONE, now, record} or {NO_POOL | SPEC_CHANGED | TARGET_MET | MAX_TOTAL | OTHER_NODE | WRONG_STATE | GARBLED, now, state}
  Invariants: those of reserve-start. What the store knows stays as it is.
]]
--- @include "now"
--- @include "read-record"
--- @include "append-event"
--- @include "target"
--- @include "done"
local shard, pool = KEYS[1], KEYS[2]
local id, pool_name, node, spec_version, incarnation = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = shard .. 'sandbox:' .. id

local known, refusal = read_record(key, now_ms)
if known then
  if known.node ~= node then return { STATUS_OTHER_NODE, now_ms } end
  if known.state ~= 'ready' then return { STATUS_WRONG_STATE, now_ms, known.state } end
  return done(key, now_ms)
end
if refusal[1] ~= STATUS_NOT_FOUND then return refusal end

local settings = redis.call('HMGET', pool, 'spec', 'minReady', 'maxReady', 'maxTotal', 'wanted')
if not settings[1] then return { STATUS_NO_POOL, now_ms } end
if settings[1] ~= spec_version then return { STATUS_SPEC_CHANGED, now_ms } end
local target = target_of(settings[2], settings[3], settings[5])
local there = redis.call('ZCARD', pool .. ':ready') + redis.call('ZCARD', pool .. ':starting')
if there >= target then return { STATUS_TARGET_MET, now_ms } end
if redis.call('ZCARD', pool .. ':live') >= tonumber(settings[4]) then return { STATUS_MAX_TOTAL, now_ms } end

redis.call('HSET', key, 'pool', pool_name, 'spec', spec_version, 'state', 'ready', 'launch', 'warm', 'node', node,
  'incarnation', incarnation, 'created', now_ms, 'deadline', now_ms, 'ready', now_ms)
redis.call('ZADD', pool .. ':ready', now_us, id)
redis.call('ZADD', pool .. ':live', now_ms, id)
redis.call('SADD', shard .. 'node:' .. node, id)
append_event(shard .. 'events', now_ms, id, { incarnation = incarnation, pool = pool_name, node = node }, '', 'ready', '')
return done(key, now_ms)

#!lua
--[[
  Grants one warm boot, if the pool wants it, and writes its record before there is an object (D14, D17).

  KEYS[1] the shard's prefix: the sandbox's record and the leases, events and node set are formed from it, so that one
          key routes all of them
  KEYS[2] pool hash; its indexes are KEYS[2] followed by :ready, :starting, :live (same tag)
  ARGV    sandbox id, pool name, node id, spec version, boot timeout in ms
  Returns {DONE, now, record} or {NO_POOL | SPEC_CHANGED | TARGET_MET | STARTS_IN_FLIGHT | MAX_TOTAL | ID_TAKEN | GARBLED, now}
  Invariants: ready + starting never passes the target, starting never passes startsInFlightMax, live never passes
  maxTotal. The same id again is the same start, whatever became of it.
]]
--- @include "now"
--- @include "read-record"
--- @include "append-event"
--- @include "target"
--- @include "done"
local shard, pool = KEYS[1], KEYS[2]
local id, pool_name, node, spec_version, boot_timeout_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local key = shard .. 'sandbox:' .. id

local known, refusal = read_record(key, now_ms)
if known then
  if known.pool ~= pool_name or known.node ~= node then return { STATUS_ID_TAKEN, now_ms } end
  return done(key, now_ms)
end
if refusal[1] ~= STATUS_NOT_FOUND then return refusal end

local settings = redis.call('HMGET', pool, 'spec', 'minReady', 'maxReady', 'startsInFlightMax', 'maxTotal',
  'wanted')
if not settings[1] then return { STATUS_NO_POOL, now_ms } end
if settings[1] ~= spec_version then return { STATUS_SPEC_CHANGED, now_ms } end
local target = target_of(settings[2], settings[3], settings[6])
local starting = redis.call('ZCARD', pool .. ':starting')
if redis.call('ZCARD', pool .. ':ready') + starting >= target then return { STATUS_TARGET_MET, now_ms } end
if starting >= tonumber(settings[4]) then return { STATUS_STARTS_IN_FLIGHT, now_ms } end
if redis.call('ZCARD', pool .. ':live') >= tonumber(settings[5]) then return { STATUS_MAX_TOTAL, now_ms } end

local deadline = now_ms + boot_timeout_ms
redis.call('HSET', key, 'pool', pool_name, 'spec', spec_version, 'state', 'starting', 'launch', 'warm', 'node', node,
  'incarnation', 1, 'created', now_ms, 'deadline', deadline)
-- In order of reservation within a millisecond too: a miss takes over the oldest boot.
redis.call('ZADD', pool .. ':starting', string.format('%.3f', deadline + now_us % 1000 / 1000), id)
redis.call('ZADD', pool .. ':live', now_ms, id)
redis.call('ZADD', shard .. 'leases', deadline, id)
redis.call('SADD', shard .. 'node:' .. node, id)
redis.call('HINCRBY', pool, 'startsWarm', 1)
append_event(shard .. 'events', now_ms, id, { incarnation = 1, pool = pool_name, node = node }, '', 'starting', '')
return done(key, now_ms)

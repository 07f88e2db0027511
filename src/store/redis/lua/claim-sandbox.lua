#!lua
--[[
  Hands out the sandbox that has been ready for longest. On a miss, for a request that takes a cold start: gives it the
  oldest warm boot in flight, which is nearest to its end, or else reserves a boot of its own; for one that waits: gives it
  a place in the pool's queue. This is the hot path: keys are formed from four, names are cut out of keys instead of being
  sent twice, numbers are turned into text once, because the server does that slowly and for every use, and who else
  waits is only looked at when the pool's hash says that somebody may.

  KEYS[1] the shard's prefix: the record of the popped id, leases, events and node set are formed from it
  KEYS[2] pool hash; its indexes are KEYS[2] followed by :ready, :starting, :live, and what turn.lua names (same tag)
  KEYS[3] the tenant's owned set
  KEYS[4] request memory
  ARGV    1 body hash, 2 claim id, 3 lease ttl ms, 4 maximum lifetime ms, 5 on expiry, 6 customisation JSON,
          7 warm wanted (1; 2 when it asks again, and was counted as a miss before; 0: no; 3: it is over a limit of its
          tenant, and only told what was remembered); for a cold start also 8 its id (empty: none), 9 its node, 10 boot
          timeout ms; to wait also 11 how long its place is kept (empty: it does not wait), 12 claims that may wait for the
          pool, 13 those of its tenant; 14: its tenant's limits are charged for it (1)
  Returns {CLAIMED, now, id, spec, node, incarnation, created, ready, expires, end of life}: the rest the caller knows
          {STARTING, now, id, record}
          {REPEATED, now, id, record}, with an empty record when that is gone: {REPEATED, now, id, {}, remembered …}
          {WAITING, now, how many more have to become ready}
          {NO_READY | MAX_TOTAL | NO_POOL | REQUEST_ID_REUSED | ID_TAKEN | QUEUE_FULL | TENANT_QUEUE_FULL | OVER_LIMIT, now}
  Invariants: the answer is remembered in the step that makes it (D1). What is popped is handed out or on its way out,
  never back in the set (D15). A candidate is checked here, where it is handed out (D18). As many as wait before it, and as
  are kept for other tenants, are left ready by whoever takes one (I19).
]]
--- @transition ready -> running
--- @transition ready -> stopping
--- @include "now"
--- @include "append-event"
local shard, pool, owned_set, request_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local body_hash, claim_id, on_expiry, customisation, warm_wanted = ARGV[1], ARGV[2], ARGV[5], ARGV[6], ARGV[7] ~= '0'
local ttl_ms, max_lifetime_ms, cold_id, place_ms = ARGV[3], ARGV[4], ARGV[8], ARGV[11]
if cold_id == '' then cold_id = nil end

local remembered = redis.call('GET', request_key)
if remembered then
  local known_hash, id, spec, node, incarnation, launch, created, ready, claimed, known_claim_id, known_pool =
    cmsgpack.unpack(remembered)
  if known_hash ~= body_hash then return { STATUS_REQUEST_ID_REUSED, now_ms } end
  return { STATUS_REPEATED, now_ms, id, redis.call('HGETALL', shard .. 'sandbox:' .. id),
    spec, node, incarnation, launch, created, ready, claimed, known_claim_id, known_pool }
end

local settings = redis.call('HMGET', pool, 'spec', 'maxIdleAgeMs', 'maxTotal', 'round', 'reserved')
local spec_version, max_idle_age_ms = settings[1], tonumber(settings[2] or nil)
if not spec_version then return { STATUS_NO_POOL, now_ms } end
if ARGV[7] == '3' then
  redis.call('HINCRBY', pool, 'missesOverLimit', '1')
  return { STATUS_OVER_LIMIT, now_ms }
end

local pool_name = string.sub(pool, #shard + #'pool:' + 1)
local tenant = string.sub(owned_set, #shard + #'owned:' + 1)
local request = string.sub(request_key, #shard + #'request:' + 1)
local now = string.format('%d', now_ms)
local end_of_life = string.format('%d', now_ms + max_lifetime_ms)
local expires = string.format('%d', now_ms + math.min(ttl_ms, max_lifetime_ms))
local waits, refusal = warm_wanted and not cold_id and place_ms and place_ms ~= '', nil
-- Most claims meet nobody who waits, and do not even make these functions.
local turn, new_turn, wait
if waits or settings[4] or settings[5] then
--- @include "turn"
  new_turn = function() return turn_of(pool, tenant, request, settings[4], settings[5], now_ms) end
  wait = function() return turn.wait(place_ms, ARGV[12], ARGV[13]) end
  turn = (settings[4] or settings[5]) and new_turn()
end

-- What both kinds of claim write: whose it is now, in the record, among the owner's, and under the request id.
local function own(id, key, state, incarnation, node, launch, created, ready)
  redis.call('HSET', key, 'state', state, 'incarnation', incarnation, 'tenant', tenant, 'claim', claim_id,
    'claimed', now, 'custom', customisation, 'request', request, 'ttl', ttl_ms, 'maxlife', max_lifetime_ms,
    'onexpiry', on_expiry, 'expires', expires, 'eol', end_of_life)
  redis.call('ZADD', owned_set, string.format('%d', now_us), id)
  redis.call('SET', request_key, cmsgpack.pack(body_hash, id, spec_version, node, incarnation, launch, created, ready,
    now, claim_id, pool_name), 'PX', LIMIT_REQUEST_MEMORY_MS)
  if ARGV[14] then redis.call('HSET', key, 'held', '1') end
  if turn then
    turn.taken()
    if turn.has_share then
      redis.call('ZADD', pool .. ':share:' .. tenant, now, id)
      redis.call('HSET', key, 'shared', '1')
    end
  end
end

-- The place comes first: it may be before others who came earlier.
if turn and waits and not turn.may_take(redis.call('ZCARD', pool .. ':ready')) then refusal = wait() end

if warm_wanted then
  for _ = 1, LIMIT_CANDIDATES do
    if turn and not turn.may_take(redis.call('ZCARD', pool .. ':ready')) then break end
    local id = redis.call('ZPOPMIN', pool .. ':ready')[1]
    if not id then break end
    local key = shard .. 'sandbox:' .. id
    local fields = redis.pcall('HMGET', key, 'state', 'spec', 'incarnation', 'node', 'created', 'ready')
    local incarnation, created, ready = tonumber(fields[3] or nil), tonumber(fields[5] or nil), tonumber(fields[6] or nil)
    -- An id without a sound, ready record is garbage of the index: it is dropped and the next one is looked at.
    if fields[1] == 'ready' and incarnation and created and ready and fields[4] then
      local record = { incarnation = fields[3], pool = pool_name, node = fields[4] }
      local reason = fields[2] ~= spec_version and 'spec_changed'
        or now_ms - ready >= max_idle_age_ms and 'idle_age'
      if reason then
        redis.call('HSET', key, 'state', 'stopping', 'reason', reason)
        append_event(shard .. 'events', now, id, record, 'ready', 'stopping', reason)
      else
        record.incarnation = string.format('%d', incarnation + 1)
        record.tenant = tenant
        own(id, key, 'running', record.incarnation, record.node, 'warm', fields[5], fields[6])
        redis.call('ZADD', shard .. 'leases', expires, id)
        if ARGV[7] ~= '2' then redis.call('HINCRBY', pool, 'hits', '1') end
        append_event(shard .. 'events', now, id, record, 'ready', 'running', '')
        return { STATUS_CLAIMED, now_ms, id, spec_version, record.node, record.incarnation, fields[5], fields[6],
          expires, end_of_life }
      end
    end
  end
end

if ARGV[7] ~= '2' then redis.call('HINCRBY', pool, warm_wanted and 'missesEmpty' or 'missesUncacheable', '1') end
if waits then
  turn = turn or new_turn()
  refusal = refusal or wait()
  if refusal then return { refusal, now_ms } end
  return { STATUS_WAITING, now_ms, turn.ready_needed(redis.call('ZCARD', pool .. ':ready')) }
end
if not cold_id then return { STATUS_NO_READY, now_ms } end

local key = shard .. 'sandbox:' .. cold_id
-- The boot of this very request has failed since and let go of its request id: its end is the answer.
if redis.call('HGET', key, 'request') == request then
  return { STATUS_REPEATED, now_ms, cold_id, redis.call('HGETALL', key) }
end
if redis.call('EXISTS', key) == 1 then return { STATUS_ID_TAKEN, now_ms } end

-- A boot in flight is as good as a ready one to those who wait.
local may_take_over = warm_wanted
  and (not turn or turn.may_take(redis.call('ZCARD', pool .. ':ready') + redis.call('ZCARD', pool .. ':starting')))
local boots = may_take_over and redis.call('ZRANGE', pool .. ':starting', 0, LIMIT_CANDIDATES - 1) or {}
for _, id in ipairs(boots) do
  local boot_key = shard .. 'sandbox:' .. id
  local fields = redis.pcall('HMGET', boot_key, 'state', 'spec', 'incarnation', 'node', 'created', 'tenant', 'deadline')
  local incarnation, deadline = tonumber(fields[3] or nil), tonumber(fields[7] or nil)
  if fields[1] == 'starting' and fields[2] == spec_version and incarnation and fields[4] and fields[5]
    and not fields[6] and deadline and deadline > now_ms then
    local next_incarnation = string.format('%d', incarnation + 1)
    redis.call('ZREM', pool .. ':starting', id)
    own(id, boot_key, 'starting', next_incarnation, fields[4], 'cold', fields[5], false)
    redis.call('HSET', boot_key, 'launch', 'cold')
    append_event(shard .. 'events', now, id,
      { incarnation = next_incarnation, pool = pool_name, tenant = tenant, node = fields[4] }, '', 'starting', '')
    return { STATUS_STARTING, now_ms, id, redis.call('HGETALL', boot_key) }
  end
end

if redis.call('ZCARD', pool .. ':live') >= tonumber(settings[3]) then return { STATUS_MAX_TOTAL, now_ms } end

local cold_node = ARGV[9]
local deadline = string.format('%d', now_ms + ARGV[10])
own(cold_id, key, 'starting', '1', cold_node, 'cold', now, false)
redis.call('HSET', key, 'pool', pool_name, 'spec', spec_version, 'launch', 'cold', 'node', cold_node, 'created', now,
  'deadline', deadline)
redis.call('ZADD', shard .. 'leases', deadline, cold_id)
redis.call('ZADD', pool .. ':live', now, cold_id)
redis.call('SADD', shard .. 'node:' .. cold_node, cold_id)
redis.call('HINCRBY', pool, 'startsCold', '1')
append_event(shard .. 'events', now, cold_id, { incarnation = '1', pool = pool_name, tenant = tenant, node = cold_node },
  '', 'starting', '')
return { STATUS_STARTING, now_ms, cold_id, redis.call('HGETALL', key) }

#!lua
--[[
  Hands out the sandbox that has been ready for longest, or reserves a cold start, or says that there is none.

  KEYS[1] request memory      KEYS[2] pool hash           KEYS[3] the pool's ready set
  KEYS[4] the pool's live set KEYS[5] leases              KEYS[6] the tenant's owned set
  KEYS[7] events              KEYS[8] prefix of records: the id comes out of the ready set, so its key is formed here
  KEYS[9] the set of the node of the cold start
  ARGV    1 body hash, 2 tenant, 3 claim id, 4 lease ttl ms, 5 maximum lifetime ms, 6 on expiry, 7 customisation JSON,
          8 request key without prefix, 9 pool name, 10 warm wanted (1 or 0),
          11 cold id (empty: no cold start), 12 cold node, 13 boot timeout ms
  Returns {CLAIMED, now, id, spec, node, incarnation, created, ready, expires, end of life}: the rest the caller knows
          {STARTING, now, id, record}
          {REPEATED, now, id, record}, with an empty record when that is gone: {REPEATED, now, id, {}, remembered …}
          {NO_READY | MAX_TOTAL | NO_POOL | REQUEST_ID_REUSED | ID_TAKEN, now}
  Invariants: the answer is remembered in the step that makes it (D1). What is popped is handed out or on its way out,
  never back in the set (D15). A candidate is checked here, where it is handed out (D18).
]]
--- @transition ready -> running
--- @transition ready -> stopping
--- @include "now"
--- @include "append-event"
local request_key, pool, ready_set, live_set, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local owned_set, events, sandbox_prefix, node_set = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local body_hash, tenant, claim_id, request = ARGV[1], ARGV[2], ARGV[3], ARGV[8]
local ttl_ms, max_lifetime_ms, on_expiry, customisation = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]
local pool_name, warm_wanted, cold_id, cold_node = ARGV[9], ARGV[10] == '1', ARGV[11], ARGV[12]
local boot_timeout_ms = tonumber(ARGV[13])

local remembered = redis.call('GET', request_key)
if remembered then
  local known_hash, id, spec, node, incarnation, launch, created, ready, claimed, known_claim_id, known_pool =
    cmsgpack.unpack(remembered)
  if known_hash ~= body_hash then return { STATUS_REQUEST_ID_REUSED, now_ms } end
  return { STATUS_REPEATED, now_ms, id, redis.call('HGETALL', sandbox_prefix .. id),
    spec, node, incarnation, launch, created, ready, claimed, known_claim_id, known_pool }
end

local settings = redis.call('HMGET', pool, 'spec', 'maxIdleAgeMs', 'maxTotal')
local spec_version, max_idle_age_ms = settings[1], tonumber(settings[2] or nil)
if not spec_version then return { STATUS_NO_POOL, now_ms } end

local end_of_life = now_ms + max_lifetime_ms
local expires = math.min(now_ms + ttl_ms, end_of_life)

local function remember(id, node, incarnation, launch, created, ready)
  redis.call('SET', request_key, cmsgpack.pack(body_hash, id, spec_version, node, incarnation, launch, created, ready,
    now_ms, claim_id, pool_name), 'PX', LIMIT_REQUEST_MEMORY_MS)
end

if warm_wanted then
  for _ = 1, LIMIT_CANDIDATES do
    local id = redis.call('ZPOPMIN', ready_set)[1]
    if not id then break end
    local key = sandbox_prefix .. id
    local fields = redis.pcall('HMGET', key, 'state', 'spec', 'incarnation', 'node', 'created', 'ready')
    local incarnation, created, ready = tonumber(fields[3] or nil), tonumber(fields[5] or nil), tonumber(fields[6] or nil)
    -- An id without a sound, ready record is garbage of the index: it is dropped and the next one is looked at.
    if not fields.err and fields[1] == 'ready' and incarnation and created and ready and fields[4] then
      local record = { incarnation = incarnation, pool = pool_name, node = fields[4] }
      local reason = fields[2] ~= spec_version and 'spec_changed'
        or now_ms - ready >= max_idle_age_ms and 'idle_age'
      if reason then
        redis.call('HSET', key, 'state', 'stopping', 'reason', reason)
        append_event(events, now_ms, id, record, 'ready', 'stopping', reason)
      else
        record.incarnation = incarnation + 1
        record.tenant = tenant
        redis.call('HSET', key, 'state', 'running', 'incarnation', record.incarnation, 'tenant', tenant,
          'claim', claim_id, 'claimed', now_ms, 'custom', customisation, 'request', request, 'ttl', ttl_ms,
          'maxlife', max_lifetime_ms, 'onexpiry', on_expiry, 'expires', expires, 'eol', end_of_life)
        redis.call('ZADD', leases, expires, id)
        redis.call('ZADD', owned_set, now_us, id)
        redis.call('HINCRBY', pool, 'hits', 1)
        remember(id, record.node, record.incarnation, 'warm', created, ready)
        append_event(events, now_ms, id, record, 'ready', 'running', '')
        return { STATUS_CLAIMED, now_ms, id, spec_version, record.node, record.incarnation, created, ready, expires,
          end_of_life }
      end
    end
  end
end

redis.call('HINCRBY', pool, warm_wanted and 'missesEmpty' or 'missesUncacheable', 1)
if cold_id == '' then return { STATUS_NO_READY, now_ms } end

local key = sandbox_prefix .. cold_id
local known_request = redis.call('HGET', key, 'request')
-- The boot of this very request has failed since and let go of its request id: its end is the answer.
if known_request == request then
  return { STATUS_REPEATED, now_ms, cold_id, redis.call('HGETALL', key) }
end
if redis.call('EXISTS', key) == 1 then return { STATUS_ID_TAKEN, now_ms } end
if redis.call('ZCARD', live_set) >= tonumber(settings[3]) then return { STATUS_MAX_TOTAL, now_ms } end

local deadline = now_ms + boot_timeout_ms
redis.call('HSET', key, 'pool', pool_name, 'spec', spec_version, 'state', 'starting', 'launch', 'cold',
  'node', cold_node, 'incarnation', 1, 'created', now_ms, 'deadline', deadline, 'tenant', tenant, 'claim', claim_id,
  'claimed', now_ms, 'custom', customisation, 'request', request, 'ttl', ttl_ms, 'maxlife', max_lifetime_ms,
  'onexpiry', on_expiry, 'expires', expires, 'eol', end_of_life)
redis.call('ZADD', leases, deadline, cold_id)
redis.call('ZADD', live_set, now_ms, cold_id)
redis.call('ZADD', owned_set, now_us, cold_id)
redis.call('SADD', node_set, cold_id)
redis.call('HINCRBY', pool, 'startsCold', 1)
remember(cold_id, cold_node, 1, 'cold', now_ms, false)
append_event(events, now_ms, cold_id, { incarnation = 1, pool = pool_name, tenant = tenant, node = cold_node }, '',
  'starting', '')
return { STATUS_STARTING, now_ms, cold_id, redis.call('HGETALL', key) }

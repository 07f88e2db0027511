#!lua
--[[
  The node says what it has running and whose it is, over whatever the store believes (D9): a store that was emptied or
  put back may know nothing of it, have it in its pool, or have given it out a second time.

  KEYS[1] the shard's prefix: record, leases, events, node set, owned sets, request memory and the pool's indexes are
          formed from it, because only the record knows which pool and owner are to be undone
  ARGV    1 sandbox id, 2 pool, 3 spec, 4 launch, 5 node, 6 incarnation, 7 created, 8 ready (empty: not known),
          9 tenant, 10 claim id, 11 claimed, 12 customisation JSON, 13 lease ttl ms, 14 on expiry, 15 ms left of the
          lease, 16 ms left of its life
  Returns {DONE, now, record} or {OTHER_NODE | WRONG_STATE | GARBLED, now, state}
  Invariants: only the sandbox's own node says it. A claim's own end stands, and so does a record that was let go. A
  lease is made no shorter, an incarnation no lower. Whoever was told by mistake that it was theirs gets another one for
  the same request.
]]
--- @include "now"
--- @include "read-record"
--- @include "append-event"
--- @include "forget-request"
--- @include "share"
--- @include "done"
local shard = KEYS[1]
local id, pool_name, spec, launch, node, incarnation = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
local created, ready, tenant, claim_id, claimed, customisation = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local ttl_ms, on_expiry, life_left_ms = ARGV[13], ARGV[14], tonumber(ARGV[16])
local key = shard .. 'sandbox:' .. id
local end_of_life = now_ms + life_left_ms
local expires = math.min(now_ms + tonumber(ARGV[15]), end_of_life)

-- The request was lost with the record, unless it is still this claim's; none has an empty one.
local request = ''
local known, refusal = read_record(key, now_ms)
if not known and refusal[1] ~= STATUS_NOT_FOUND then return refusal end
if known then
  if known.node ~= node then return { STATUS_OTHER_NODE, now_ms } end
  local is_its_own = known.tenant and redis.call('HGET', key, 'claim') == claim_id
  if is_its_own and LEASED[known.state] then
    expires = math.max(expires, known.expires)
    redis.call('HSET', key, 'expires', expires, 'eol', math.max(end_of_life, known.eol))
    redis.call('ZADD', shard .. 'leases', expires, id)
    return done(key, now_ms)
  end
  local has_ended = known.state == 'stopping' or ENDED[known.state]
  if redis.call('PTTL', key) ~= -1 or is_its_own and has_ended then
    return { STATUS_WRONG_STATE, now_ms, known.state }
  end
  local known_pool = shard .. 'pool:' .. known.pool
  redis.call('ZREM', known_pool .. ':ready', id)
  redis.call('ZREM', known_pool .. ':starting', id)
  redis.call('ZREM', known_pool .. ':live', id)
  if known.shared then redis.call('ZREM', known_pool .. ':share:' .. known.tenant, id) end
  if known.tenant then
    redis.call('ZREM', shard .. 'owned:' .. known.tenant, id)
    if is_its_own then request = known.request else forget_request(shard, id, known) end
  end
  incarnation = math.max(incarnation, known.incarnation)
  redis.call('DEL', key)
end

redis.call('HSET', key, 'pool', pool_name, 'spec', spec, 'state', 'running', 'launch', launch, 'node', node,
  'incarnation', incarnation, 'created', created, 'deadline', created, 'tenant', tenant, 'claim', claim_id,
  'claimed', claimed, 'custom', customisation, 'request', request, 'ttl', ttl_ms, 'maxlife', life_left_ms,
  'onexpiry', on_expiry, 'expires', expires, 'eol', end_of_life)
if ready ~= '' then redis.call('HSET', key, 'ready', ready) end
redis.call('ZADD', shard .. 'leases', expires, id)
redis.call('ZADD', shard .. 'pool:' .. pool_name .. ':live', created, id)
if has_share(shard .. 'pool:' .. pool_name, tenant) then
  redis.call('HSET', key, 'shared', '1')
  redis.call('ZADD', shard .. 'pool:' .. pool_name .. ':share:' .. tenant, claimed, id)
end
redis.call('SADD', shard .. 'node:' .. node, id)
redis.call('ZADD', shard .. 'owned:' .. tenant, now_us, id)
append_event(shard .. 'events', now_ms, id,
  { incarnation = incarnation, pool = pool_name, tenant = tenant, node = node }, '', 'running', '')
return done(key, now_ms)

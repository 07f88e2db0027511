-- Who may take a sandbox of a pool that others wait for, or that keeps some for a tenant.
--
-- `<pool>:waiters` holds the claims that wait, by turn; `<pool>:waiters:<tenant>` the same ones of one tenant; `<pool>:waiting`
-- until when each of them keeps its place. A turn is a round and, within it, the order of arrival: whoever comes takes the
-- round after its tenant's last one, or after the one that is being served, so that each tenant has one turn in a round.
-- The hash's `round` is there while somebody may wait, and `reserved` while something is kept for a tenant: without both
-- a claim reads none of this. `<pool>:share:<tenant>` holds what a tenant with a reserved share has of the pool.
-- Takes claims out of the queue. Those behind them of the same tenant move up into the turns that have become free: a tenant
-- loses no turn with one that has gone. All of them in one go, because a dead process may leave a long queue behind.
local function leave_queue(pool, requests)
  local queue = pool .. ':waiters'
  local is_gone, first_ranks = {}, {}
  for _, request in ipairs(requests) do
    local own_queue = queue .. ':' .. string.match(request, '^[^:]*')
    local rank = redis.call('ZRANK', own_queue, request)
    if rank then first_ranks[own_queue] = math.min(rank, first_ranks[own_queue] or rank) end
    is_gone[request] = true
    redis.call('ZREM', queue, request)
    redis.call('ZREM', pool .. ':waiting', request)
  end
  for own_queue, first_rank in pairs(first_ranks) do
    local later = redis.call('ZRANGE', own_queue, first_rank, -1, 'WITHSCORES')
    local moved, free_turn = {}, 2
    local function move()
      if #moved == 0 then return end
      redis.call('ZADD', queue, 'XX', unpack(moved))
      redis.call('ZADD', own_queue, 'XX', unpack(moved))
      moved = {}
    end
    for place = 1, #later, 2 do
      if is_gone[later[place]] then
        redis.call('ZREM', own_queue, later[place])
      else
        moved[#moved + 1], moved[#moved + 2] = later[free_turn], later[place]
        free_turn = free_turn + 2
        -- Lua passes some thousand arguments at most.
        if #moved == 1000 then move() end
      end
    end
    move()
  end
end

local function turn_of(pool, tenant, request, round, reserved, now_ms)
  local queue, waiting = pool .. ':waiters', pool .. ':waiting'
  local own_queue = queue .. ':' .. string.match(request, '^[^:]*')
  local gone = redis.call('ZRANGEBYSCORE', waiting, '-inf', now_ms, 'LIMIT', 0, LIMIT_GONE_WAITERS)
  if #gone > 0 then leave_queue(pool, gone) end
  if round and redis.call('ZCARD', queue) == 0 then
    redis.call('HDEL', pool, 'round', 'arrivals')
    round = nil
  end

  local held_for_others, own_share, has_share = 0, 0, false
  for name, count in pairs(reserved and cjson.decode(reserved) or {}) do
    local left = math.max(0, count - redis.call('ZCARD', pool .. ':share:' .. name))
    if name == tenant then own_share, has_share = left, true else held_for_others = held_for_others + left end
  end

  local turn = { has_share = has_share }
  local place, ahead, own_ahead
  local function look()
    place = redis.call('ZSCORE', queue, request)
    if place then
      ahead, own_ahead = redis.call('ZRANK', queue, request), redis.call('ZRANK', own_queue, request) or 0
    else
      ahead, own_ahead = redis.call('ZCARD', queue), redis.call('ZCARD', own_queue)
    end
  end
  -- How many more there must be: for everybody before it, or, on its tenant's own share, for those of its tenant.
  local function missing(available)
    local free = available - held_for_others
    local before = own_share > own_ahead and own_ahead or ahead
    return before + 1 - free
  end
  function turn.may_take(available) return missing(available) <= 0 end
  function turn.ready_needed(available) return math.max(1, missing(available)) end

  -- Keeps the place, or takes one. Returns why there is none.
  function turn.wait(lease_ms, pool_max, tenant_max)
    if not place then
      if ahead >= tonumber(pool_max) then return STATUS_QUEUE_FULL end
      if own_ahead >= tonumber(tenant_max) then return STATUS_TENANT_QUEUE_FULL end
      local last = redis.call('ZREVRANGE', own_queue, 0, 0, 'WITHSCORES')[2]
      local last_round = last and math.floor(last / LIMIT_ARRIVALS) or 0
      local arrivals = redis.call('HINCRBY', pool, 'arrivals', 1)
      if not round then redis.call('HSET', pool, 'round', 0) end
      round = round or 0
      local score = string.format('%.0f',
        (math.max(tonumber(round), last_round) + 1) * LIMIT_ARRIVALS + arrivals % LIMIT_ARRIVALS)
      redis.call('ZADD', queue, score, request)
      redis.call('ZADD', own_queue, score, request)
      look()
    end
    redis.call('ZADD', waiting, now_ms + lease_ms, request)
    -- When all who wait have died with their allocators, nobody comes to clear up.
    for _, key in ipairs({ queue, own_queue, waiting }) do
      if redis.call('PTTL', key) < lease_ms * 4 then redis.call('PEXPIRE', key, lease_ms * 4) end
    end
  end

  -- It has got one: its turn is over.
  function turn.taken()
    if not place then return end
    redis.call('ZREM', queue, request)
    redis.call('ZREM', own_queue, request)
    redis.call('ZREM', waiting, request)
    if redis.call('ZCARD', queue) == 0 then
      redis.call('HDEL', pool, 'round', 'arrivals')
    else
      redis.call('HSET', pool, 'round', string.format('%.0f',
        math.max(tonumber(round or 0), math.floor(place / LIMIT_ARRIVALS))))
    end
  end

  look()
  return turn
end

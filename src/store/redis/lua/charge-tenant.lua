#!lua
--[[
  Charges a claim to its tenant's limits, before anything is taken for it (D2).

  KEYS[1] the tenant's holds: a claim id for each sandbox that it runs or is about to  KEYS[2] its bucket of creates
  ARGV    claim id, sandboxes it may run (empty: any number), creates per second (empty: any number), creates that may
          come at once, 1 when this claim's create was charged before (else 0), ms that the holds are kept at least
  Returns {DONE, now} or {OVER_LIMIT, now, which limit, how much, ms until there is room (empty: when a sandbox ends)}
  Invariants: a hold is there before its claim, and until the sandbox is on its way out; one whose claim never came is
  dropped by settle-holds. The same claim is charged once.
]]
--- @include "now"
local holds, bucket = KEYS[1], KEYS[2]
local claim_id, running_max, rate, burst = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local is_charged, kept_ms = ARGV[5] == '1', tonumber(ARGV[6])

local is_held = running_max and redis.call('ZSCORE', holds, claim_id)
if running_max and not is_held then
  local running = redis.call('ZCARD', holds)
  if running >= running_max then return { STATUS_OVER_LIMIT, now_ms, 'running', running, '' } end
end
if rate and not is_held and not is_charged then
  local known = redis.call('HMGET', bucket, 'tokens', 'at')
  local passed_us = math.max(0, now_us - tonumber(known[2] or now_us))
  local tokens = math.min(burst, tonumber(known[1] or burst) + passed_us * rate / 1000000)
  if tokens < 1 then
    return { STATUS_OVER_LIMIT, now_ms, 'creates_per_second', math.ceil(burst - tokens),
      math.max(1, math.ceil((1 - tokens) * 1000 / rate)) }
  end
  redis.call('HSET', bucket, 'tokens', string.format('%.9f', tokens - 1), 'at', string.format('%.0f', now_us))
  redis.call('PEXPIRE', bucket, math.ceil(burst * 1000 / rate) + 1000)
end
if running_max then
  redis.call('ZADD', holds, now_ms, claim_id)
  if redis.call('PTTL', holds) < kept_ms then redis.call('PEXPIRE', holds, kept_ms) end
end
return { STATUS_DONE, now_ms }

#!lua flags=allow-oom
--[[
  Moves the lease of a running sandbox. A lease that has passed but was not reaped yet may still be renewed: owners
  who could not reach the store keep what is theirs.

  KEYS[1] sandbox record  KEYS[2] leases
  ARGV    sandbox id, tenant, ttl ms (empty: the lease's own), mode (extend or set)
  Returns {DONE, now, record} or {NOT_FOUND | WRONG_STATE | GARBLED, now, state}
  Invariants: only the owner moves it, never past the end of life; `extend` never shortens it.
]]
--- @include "now"
--- @include "read-record"
--- @include "done"
local key, leases = KEYS[1], KEYS[2]
local id, tenant, ttl_ms, mode = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local record, refusal = read_record(key, now_ms)
if not record then return refusal end
if record.tenant ~= tenant then return { STATUS_NOT_FOUND, now_ms } end
if record.state ~= 'running' then return { STATUS_WRONG_STATE, now_ms, record.state } end

local expires = math.min(now_ms + (ttl_ms or record.ttl), record.eol)
if mode ~= 'set' then expires = math.max(expires, record.expires) end
redis.call('HSET', key, 'expires', expires)
redis.call('ZADD', leases, expires, id)
return done(key, now_ms)

#!lua flags=allow-oom
--[[
  The reaper's step: ends a lease or a boot whose deadline has really passed (D12).

  KEYS[1] the shard's prefix: record, leases, events, request memory and the pool's indexes are formed from it, because
          only the record knows the pool and the request
  ARGV    sandbox id, incarnation, failure sentence of a boot that took too long
  Returns {DONE, now, record}, {NOT_DUE, now, remaining ms},
          or {NOT_FOUND | STALE_INCARNATION | WRONG_STATE | GARBLED, now, state}
  Invariants: state, incarnation and deadline are those of the record, not of the index that named the candidate. A
  member of the index that the record does not justify is dropped here.
]]
--- @transition running -> stopping
--- @transition starting -> failed
--- @include "now"
--- @include "read-record"
--- @include "fail"
--- @include "done"
local shard = KEYS[1]
local id, incarnation, boot_timeout_sentence = ARGV[1], ARGV[2], ARGV[3]
local key = shard .. 'sandbox:' .. id

local record, refusal = read_record(key, now_ms)
if not record then
  if refusal[1] == STATUS_NOT_FOUND then redis.call('ZREM', shard .. 'leases', id) end
  return refusal
end
if record.incarnation ~= tonumber(incarnation) then return { STATUS_STALE_INCARNATION, now_ms, record.state } end
if record.state == 'failed' and record.reason == 'boot_timeout' then return done(key, now_ms) end
if record.state == 'stopping' and (record.reason == 'lease_expired' or record.reason == 'lifetime_exceeded') then
  return done(key, now_ms)
end

local leased = LEASED[record.state] and record.tenant
if record.state ~= 'starting' and not leased then
  redis.call('ZREM', shard .. 'leases', id)
  return { STATUS_WRONG_STATE, now_ms, record.state }
end
local deadline = leased and record.expires or record.deadline
if deadline > now_ms then return { STATUS_NOT_DUE, now_ms, deadline - now_ms } end

if leased then
  transition(shard, id, record, 'stopping', deadline >= record.eol and 'lifetime_exceeded' or 'lease_expired', now_ms)
else
  fail(shard, id, record, 'boot_timeout', boot_timeout_sentence, now_ms)
end
return done(key, now_ms)

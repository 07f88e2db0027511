#!lua flags=allow-oom
--[[
  Sends a sandbox on its way out, for its owner or for the system.

  KEYS[1] the shard's prefix: record, leases, events and the pool's indexes are formed from it, because only the
          record knows the pool
  ARGV    sandbox id, scope (own or any), tenant (looked at when own), incarnation (empty: whatever it is), reason
  Returns {DONE, now, record} or {NOT_FOUND | STALE_INCARNATION | WRONG_STATE | GARBLED, now, state}
  Invariants: a tenant stops only what it owns; one that is on its way out or gone stays as it is. What has failed and was
  let go is kept for its owner to learn why: who deletes it does not want to know, and its record goes with the answer.
]]
--- @include "now"
--- @include "read-record"
--- @include "transition"
--- @include "done"
local shard = KEYS[1]
local id, scope, tenant, incarnation, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = shard .. 'sandbox:' .. id

local record, refusal = read_record(key, now_ms)
if not record then return refusal end
if scope ~= 'any' and record.tenant ~= tenant then return { STATUS_NOT_FOUND, now_ms } end
if incarnation ~= '' and record.incarnation ~= tonumber(incarnation) then
  return { STATUS_STALE_INCARNATION, now_ms, record.state }
end
if record.state == 'stopping' or record.state == 'stopped' then return done(key, now_ms) end
if record.state == 'failed' and scope ~= 'any' and redis.call('PTTL', key) ~= -1 then redis.call('DEL', key) end
if not MAY_BECOME_STOPPING[record.state] then return { STATUS_WRONG_STATE, now_ms, record.state } end

transition(shard, id, record, 'stopping', reason, now_ms)
return done(key, now_ms)

#!lua flags=allow-oom
--[[
  The node says that a sandbox is lost or never came up.

  KEYS[1] the shard's prefix: record, leases, events, request memory and the pool's indexes are formed from it, because
          only the record knows the pool and the request
  ARGV    sandbox id, node id, incarnation, reason, failure sentence
  Returns {DONE, now, record} or {NOT_FOUND | OTHER_NODE | STALE_INCARNATION | WRONG_STATE | GARBLED, now, state}
  Invariants: only the sandbox's own node, at its present incarnation, fails it; it stays in the node's set until
  finish-stop.
]]
--- @include "now"
--- @include "fenced-record"
--- @include "fail"
--- @include "done"
local shard = KEYS[1]
local id, node, incarnation, reason, failure = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = shard .. 'sandbox:' .. id

local record, refusal = fenced_record(key, node, incarnation, now_ms)
if not record then return refusal end
if record.state == 'failed' then return done(key, now_ms) end
if not MAY_BECOME_FAILED[record.state] then return { STATUS_WRONG_STATE, now_ms, record.state } end

fail(shard, id, record, reason, failure, now_ms)
return done(key, now_ms)

#!lua flags=allow-oom
--[[
  Keeps what the operator wants of a node, beside its heartbeat, so that no heartbeat and no restart takes it back.

  KEYS[1] nodes hash  KEYS[2] orders hash
  ARGV    node id, kind of order (cordon or drain; empty: none any more), ms after which what runs is ended (empty: never)
  Returns {DONE, now} or {NOT_FOUND, now}
]]
--- @include "now"
local nodes, orders = KEYS[1], KEYS[2]
local node, kind, timeout_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

if redis.call('HEXISTS', nodes, node) == 0 and redis.call('HEXISTS', orders, node) == 0 then
  return { STATUS_NOT_FOUND, now_ms }
end
if kind == '' then
  redis.call('HDEL', orders, node)
else
  redis.call('HSET', orders, node, cjson.encode({ kind = kind, at = now_ms, timeout = timeout_ms }))
end
return { STATUS_DONE, now_ms }

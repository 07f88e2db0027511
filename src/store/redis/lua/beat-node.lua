#!lua flags=allow-oom
--[[
  A node is alive and says what it has. Whoever had written it down as lost is put right.

  KEYS[1] nodes hash  KEYS[2] orders hash
  ARGV    node id, status JSON
  Returns {DONE, now, what the operator has ordered for it (nothing: nil)}
]]
--- @include "now"
local nodes, orders = KEYS[1], KEYS[2]
local node, status = ARGV[1], ARGV[2]

redis.call('HSET', nodes, node, cjson.encode({ at = now_ms, status = status }))
return { STATUS_DONE, now_ms, redis.call('HGET', orders, node) }

#!lua flags=no-writes
--[[
  All nodes that were ever heard of and not removed, with the clock that their heartbeats are measured by, and what the
  operator has ordered of nodes.

  KEYS[1] nodes hash  KEYS[2] orders hash
  Returns {now, nodes hash, orders hash}
]]
--- @include "now"
return { now_ms, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) }

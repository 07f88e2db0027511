#!lua flags=no-writes
--[[
  All nodes that were ever heard of and not removed, with the clock that their heartbeats are measured by.

  KEYS[1] nodes hash
  Returns {now, nodes hash}
]]
--- @include "now"
return { now_ms, redis.call('HGETALL', KEYS[1]) }

#!lua flags=allow-oom
--[[
  A node is alive and says what it has.

  KEYS[1] nodes hash
  ARGV    node id, status JSON
  Returns {DONE}
]]
--- @include "now"
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode({ at = now_ms, status = ARGV[2] }))
return { STATUS_DONE }

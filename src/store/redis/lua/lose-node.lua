#!lua flags=allow-oom
--[[
  Writes down that a node is lost, if it has been silent for long enough.

  KEYS[1] nodes hash
  ARGV    node id, ms of silence that it takes
  Returns {DONE, now, 1 if nobody had written it before, else 0}, or {NOT_FOUND | NOT_DUE, now}
  Invariants: the silence is that of the last heartbeat as it is in this step, by the store's clock (D4). A heartbeat that
  cannot be read is no evidence of anything.
]]
--- @include "now"
--- @include "heartbeat"
local nodes, node, silent_ms = KEYS[1], ARGV[1], tonumber(ARGV[2])

local beat = read_heartbeat(nodes, node)
if not beat then return { STATUS_NOT_FOUND, now_ms } end
if now_ms - beat.at < silent_ms then return { STATUS_NOT_DUE, now_ms } end
if beat.lost then return { STATUS_DONE, now_ms, 0 } end
beat.lost = now_ms
redis.call('HSET', nodes, node, cjson.encode(beat))
return { STATUS_DONE, now_ms, 1 }

#!lua flags=allow-oom
--[[
  Forgets the heartbeat of a node, if it has been silent for long enough. What the operator ordered of it stays.

  KEYS[1] nodes hash
  ARGV    node id, ms of silence that it takes (0: none)
  Returns {DONE | NOT_DUE, now}
  Invariants: a node that has come back meanwhile is not forgotten (D4).
]]
--- @include "now"
--- @include "heartbeat"
local nodes, node, silent_ms = KEYS[1], ARGV[1], tonumber(ARGV[2])

local beat = read_heartbeat(nodes, node)
if beat and now_ms - beat.at < silent_ms then return { STATUS_NOT_DUE, now_ms } end
redis.call('HDEL', nodes, node)
return { STATUS_DONE, now_ms }

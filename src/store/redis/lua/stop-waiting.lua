#!lua flags=allow-oom
--[[
  A claim waits no more: gives up its place in the pool's queue.

  KEYS[1] the shard's prefix, to cut names out of keys  KEYS[2] pool hash; its queue's keys are formed from it (turn.lua)
  KEYS[3] request memory
  ARGV    claim id, ms that the place is still kept: the same request may have come a second time, and wait there too
  Returns {DONE, now}, or {REPEATED, now}: it was served, and this is its end
]]
--- @include "now"
--- @include "turn"
local shard, pool, request_key = KEYS[1], KEYS[2], KEYS[3]
local claim_id, kept_ms = ARGV[1], tonumber(ARGV[2])
local request = string.sub(request_key, #shard + #'request:' + 1)

local remembered = redis.call('GET', request_key)
if remembered and select(10, cmsgpack.unpack(remembered)) == claim_id then return { STATUS_REPEATED, now_ms } end
if kept_ms > 0 then
  redis.call('ZADD', pool .. ':waiting', 'XX', 'LT', now_ms + kept_ms, request)
else
  leave_queue(pool, { request })
end
return { STATUS_DONE, now_ms }

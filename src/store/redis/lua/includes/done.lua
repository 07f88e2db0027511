-- The answer of every verb that reached the state it wanted: the whole record as it is now.
local function done(key, now_ms)
  return { STATUS_DONE, now_ms, redis.call('HGETALL', key) }
end

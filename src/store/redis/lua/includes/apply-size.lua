-- Writes the size in force (declared, with the overrides on top) into fields that the claim path reads directly.
local function apply_size(pool, declared, overrides)
  local size = cjson.decode(declared)
  for name, value in pairs(cjson.decode(overrides)) do size[name] = value end
  redis.call('HSET', pool, 'declared', declared, 'overrides', overrides,
    'minReady', size.minReady, 'maxReady', size.maxReady, 'maxTotal', size.maxTotal,
    'startsInFlightMax', size.startsInFlightMax, 'maxIdleAgeMs', size.maxIdleAgeMs, 'onMiss', size.onMiss)
end

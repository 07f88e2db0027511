-- Writes the size in force (declared, with the overrides on top) into fields that the claim path reads directly. A size
-- declared by a process that knew nothing of the load says nothing about it: such a pool stays at its minimum.
local function apply_size(pool, declared, overrides)
  local size = cjson.decode(declared)
  for name, value in pairs(cjson.decode(overrides)) do size[name] = value end
  redis.call('HSET', pool, 'declared', declared, 'overrides', overrides,
    'minReady', size.minReady, 'maxReady', size.maxReady, 'maxTotal', size.maxTotal,
    'startsInFlightMax', size.startsInFlightMax, 'maxIdleAgeMs', size.maxIdleAgeMs, 'onMiss', size.onMiss,
    'targetHitRatio', size.targetHitRatio or 0, 'burst', size.burst or 0,
    'scaleToZeroAfterMs', size.scaleToZeroAfterMs or 0)
end

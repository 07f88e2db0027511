-- Whether something of the pool is reserved for the tenant: then what it has of the pool is indexed (turn.lua).
local function has_share(pool, tenant)
  local reserved = redis.call('HGET', pool, 'reserved')
  return reserved and cjson.decode(reserved)[tenant] ~= nil
end

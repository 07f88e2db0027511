#!lua
--[[
  Says which schema the data has, or claims an empty store for this one.

  KEYS[1] schema hash
  ARGV    schema version of this process, a fresh store id
  Returns {now, version, store id}
  Invariants: the first process to open a store names it, and nobody renames it.
]]
--- @include "now"
local schema = KEYS[1]
local version, store_id = ARGV[1], ARGV[2]

redis.call('HSETNX', schema, 'version', version)
redis.call('HSETNX', schema, 'storeId', store_id)
return { now_ms, redis.call('HGET', schema, 'version'), redis.call('HGET', schema, 'storeId') }

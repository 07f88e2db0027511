#!lua flags=no-writes
--[[
  Reads one record together with the clock that its times are measured by.

  KEYS[1] sandbox record
  ARGV    scope (own or any), tenant (looked at when own)
  Returns {DONE, now, record} or {NOT_FOUND, now}: a foreign or unclaimed sandbox reads like an unknown one (A4)
]]
--- @include "now"
local key = KEYS[1]
local scope, tenant = ARGV[1], ARGV[2]

local fields = redis.call('HGETALL', key)
if #fields == 0 then return { STATUS_NOT_FOUND, now_ms } end
if scope ~= 'any' and redis.call('HGET', key, 'tenant') ~= tenant then return { STATUS_NOT_FOUND, now_ms } end
return { STATUS_DONE, now_ms, fields }

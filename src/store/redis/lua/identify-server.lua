#!lua flags=no-writes
--[[
  Which run of which server has the shard. A script, because a key leads to the right server of a cluster, and INFO has none.

  KEYS[1] the shard's prefix
  Returns {run id, role}: `master`, or `slave` for one that was demoted meanwhile
]]
local prefix = KEYS[1]
local server, replication = redis.call('INFO', 'server'), redis.call('INFO', 'replication')
return { string.match(server, 'run_id:(%w+)') or '', string.match(replication, 'role:(%w+)') or '' }

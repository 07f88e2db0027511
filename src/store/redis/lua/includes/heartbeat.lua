-- A node's last heartbeat; nil when there is none that can be read.
local function read_heartbeat(nodes, node)
  local text = redis.call('HGET', nodes, node)
  local sound, beat = pcall(cjson.decode, text or '')
  if sound and type(beat) == 'table' and type(beat.at) == 'number' then return beat end
  return nil
end

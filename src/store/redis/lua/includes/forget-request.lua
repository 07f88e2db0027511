-- Gives a request id back, only if it still leads to this sandbox, so that the same request may try again.
local function forget_request(shard, id, record)
  local request_key = shard .. 'request:' .. record.request
  local remembered = redis.call('GET', request_key)
  if not remembered then return end
  local _, remembered_id = cmsgpack.unpack(remembered)
  if remembered_id == id then redis.call('DEL', request_key) end
end

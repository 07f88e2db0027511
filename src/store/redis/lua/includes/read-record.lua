-- Reads the fields that every check needs. Returns the record, or nil and the answer that refuses: nothing is there,
-- or what is there is damaged and must not be touched.
local function read_record(key, now_ms)
  local fields = redis.pcall('HMGET', key, 'state', 'incarnation', 'node', 'pool', 'launch', 'tenant', 'request',
    'deadline', 'expires', 'eol', 'ttl', 'maxlife', 'reason', 'spec', 'shared')
  if fields.err then return nil, { STATUS_GARBLED, now_ms, 'type' } end
  local record = {
    state = fields[1], incarnation = tonumber(fields[2] or nil), node = fields[3], pool = fields[4],
    launch = fields[5], tenant = fields[6], request = fields[7], deadline = tonumber(fields[8] or nil),
    expires = tonumber(fields[9] or nil), eol = tonumber(fields[10] or nil), ttl = tonumber(fields[11] or nil),
    maxlife = tonumber(fields[12] or nil), reason = fields[13], spec = fields[14], shared = fields[15],
  }
  if not record.state and not record.pool and not record.node and redis.call('EXISTS', key) == 0 then
    return nil, { STATUS_NOT_FOUND, now_ms }
  end
  for _, name in ipairs({ 'state', 'incarnation', 'node', 'pool', 'launch', 'deadline' }) do
    if not record[name] then return nil, { STATUS_GARBLED, now_ms, name } end
  end
  if record.tenant then
    for _, name in ipairs({ 'request', 'expires', 'eol', 'ttl', 'maxlife' }) do
      if not record[name] then return nil, { STATUS_GARBLED, now_ms, name } end
    end
  end
  return record
end

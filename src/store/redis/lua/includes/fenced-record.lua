--- @include "read-record"

-- The record, if the caller is its node and knows its present incarnation; else nil and the refusal.
local function fenced_record(key, node, incarnation, now_ms)
  local record, refusal = read_record(key, now_ms)
  if not record then return nil, refusal end
  if record.node ~= node then return nil, { STATUS_OTHER_NODE, now_ms } end
  if record.incarnation ~= tonumber(incarnation) then
    return nil, { STATUS_STALE_INCARNATION, now_ms, record.state }
  end
  return record
end

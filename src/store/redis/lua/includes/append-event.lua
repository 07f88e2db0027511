-- The outbox: one entry per transition, in the same step as the transition. Empty means none. All in one field, since the
-- server pays for each field when it is written, logged and read: id, incarnation, pool, tenant, node, from, to, reason, at.
local function append_event(events, now, id, record, from, to, reason)
  redis.call('XADD', events, 'MAXLEN', '~', LIMIT_EVENTS, '*', 'event', table.concat(
    { id, record.incarnation, record.pool, record.tenant or '', record.node, from, to, reason, now }, '\0'))
end

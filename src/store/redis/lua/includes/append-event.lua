-- The outbox: one entry per transition, in the same step as the transition. Empty means none.
local function append_event(events, now, id, record, from, to, reason)
  redis.call('XADD', events, 'MAXLEN', '~', LIMIT_EVENTS, '*',
    'id', id, 'incarnation', record.incarnation, 'pool', record.pool, 'tenant', record.tenant or '',
    'node', record.node, 'from', from, 'to', to, 'reason', reason, 'at', now)
end

-- The store's clock, read once per script: two reads in one script may differ. Two hash members need an order finer
-- than milliseconds, so the sets of ready and of owned sandboxes are scored in microseconds.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

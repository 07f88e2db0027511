-- How many ready + starting a pool wants: what its load asks for, within its bounds. The same as `targetOf` in TypeScript;
-- a pool that nobody has measured wants its minimum.
local function target_of(min_ready, max_ready, wanted)
  return math.min(math.max(tonumber(min_ready), tonumber(wanted or 0)), tonumber(max_ready))
end

"""What is done in Redis when something is told on a thread, each time in one step; `thread_events` runs it."""

#: How large a log gets, in bytes; of a single event it may be more.
MOST_BYTES = 8 << 20

# Each event has the number of bytes before it: so the first one left says whether it was the first of all.
_ADD = """
local function before()
  return tonumber(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][2][6])
end
local function add(kind, fields)
  local size = redis.call('INCRBY', KEYS[3], #fields)
  local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*',
    'kind', kind, 'fields', fields, 'before', size - #fields)
  while size > MOST_BYTES and size - before() > MOST_BYTES and redis.call('XLEN', KEYS[1]) > 1 do
    redis.call('XTRIM', KEYS[1], 'MAXLEN', math.floor(redis.call('XLEN', KEYS[1]) * 0.75))
  end
  redis.call('PUBLISH', KEYS[1], id .. ' ' .. kind .. ' ' .. fields)
  redis.call('EXPIRE', KEYS[1], ARGV[2])
  redis.call('EXPIRE', KEYS[3], ARGV[2])
end
""".replace("MOST_BYTES", str(MOST_BYTES))
# KEYS: log, state of the execution, size of the log. ARGV: length, seconds of log and state, attempt, run, the event of
# it behind which this one comes ('' for any), …
_GO_ON = (
    _ADD
    + """
local attempt = tonumber(redis.call('HGET', KEYS[2], 'attempt') or '0')
if attempt > tonumber(ARGV[4]) then return end
redis.call('HSET', KEYS[2], 'attempt', ARGV[4])
local told = string.match(redis.call('HGET', KEYS[2], 'run ' .. ARGV[5]) or '', '^(%S+)') or ''
local whole = ARGV[6] == '' or ARGV[6] == told
"""
)
# … kind, fields, channel, its own place ('' where it has none). That something was lost is remembered until its run
# begins from the beginning.
TELL = (
    _GO_ON
    + """
if not whole then
  add('stale', '{}')
  redis.call('HSET', KEYS[2], 'lost ' .. ARGV[5], 1)
elseif ARGV[10] == '0:0' then
  redis.call('HDEL', KEYS[2], 'lost ' .. ARGV[5])
end
add(ARGV[7], ARGV[8])
if ARGV[7] == 'done' or ARGV[7] == 'failure' then
  redis.call('HDEL', KEYS[2], 'run ' .. ARGV[5])
elseif ARGV[10] ~= '' then
  redis.call('HSET', KEYS[2], 'run ' .. ARGV[5], ARGV[10] .. ' ' .. ARGV[9])
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
"""
)
# … the run from its beginning, as kinds and fields: it is told where something is missing.
CHECK = (
    _GO_ON
    + """
redis.call('HSET', KEYS[2], 'checked', ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[3])
if whole and not redis.call('HGET', KEYS[2], 'lost ' .. ARGV[5]) then return end
if #ARGV == 6 then add('stale', '{}') end
for i = 7, #ARGV, 2 do add(ARGV[i], ARGV[i + 1]) end
"""
)
# ARGV: length, seconds of log and state, kind, what its fields end with, the execution, its channel, for where it has
# told nothing. No attempt is above the one that is noted then.
END = (
    _ADD
    + """
local attempt = redis.call('HGET', KEYS[2], 'attempt') or '0'
if attempt == '2147483647' then return end
if ARGV[4] == 'done' and redis.call('HGET', KEYS[2], 'checked') ~= attempt then add('stale', '{}') end
local function over(run, channel)
  local told = '{"runId":"' .. run .. '","channel":"' .. channel .. '","execution":"' .. ARGV[6] .. '"'
  add(ARGV[4], told .. ARGV[5])
end
local state = redis.call('HGETALL', KEYS[2])
for i = 1, #state, 2 do
  local run = string.match(state[i], '^run (%S+)')
  if run and run ~= ARGV[6] then over(run, string.match(state[i + 1], ' (%S+)$')) end
end
local mine = redis.call('HGET', KEYS[2], 'run ' .. ARGV[6])
over(ARGV[6], mine and string.match(mine, ' (%S+)$') or ARGV[7])
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'attempt', '2147483647')
redis.call('EXPIRE', KEYS[2], ARGV[2])
"""
)
STALE = _ADD + "add('stale', '{}')"

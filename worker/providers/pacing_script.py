"""What all workers agree on about the calls of one key to one model: a script that Redis runs, by Redis' clock.

A bucket is a clock for requests and one for tokens, each saying until when what is reserved takes up the allowed rate
(virtual scheduling). A call is sent at the time that the later clock says, and moves both. Reserved is what calls have
lately used of their estimates, and the real usage is settled afterwards. Places in flight are a set that forgets the
dead. Who would wait for longer than the horizon reserves nothing, stands in line, and is told a time, each a later one;
where the bucket would run dry before that time comes, the first of the line are named, to be called. In line the
tenants take turns, whoever has how many in it.
"""

#: Seconds of work that are to be on their way to a bucket at all times: who is in line comes so much before its turn,
#: since a promotion, a permit and a claim take their time.
LEAD_SECONDS = 3.0
#: How many seconds of a bucket may be sent at once, beyond its even pace.
BURST_SECONDS = 0.1
#: What is asked of the allowed rate: minutes of others begin elsewhere, and calls arrive a moment late.
SHARE_OF_LIMIT = 0.97
#: Nobody is told to come later than this: what is known of the line by then is old.
LONGEST_SECONDS = 600.0
#: Who has begun goes before the line for so long, so that what is begun ends.
TURN_SECONDS = 30.0
#: A rate that was cut is whole again after so many seconds.
RECOVERY_SECONDS = 300.0
#: What a cut leaves of a rate, and the least that is left after many.
CUT, LEAST_CUT = 0.7, 0.1
#: Refusals within so many seconds are one: the calls were on their way together.
CUT_SECONDS = 2.0
#: Who is in line counts as on its way for so long after its time; later than that it has gone elsewhere.
LATE_SECONDS = 4.0
GONE_SECONDS = 60.0
#: So many are called at once at most.
MOST_CALLED = 200
#: A bucket that nobody has used for so long is forgotten, in seconds.
KEPT_SECONDS = 3600

# KEYS: the bucket's clocks, its calls in flight, its line by turns, the times that were told, who has begun, and the
# last turn of each tenant.
# ARGV: what is done, the limits (0 for none) of requests and tokens in a minute and of calls in flight, and:
#   reserve  the call's id, its asker and the asker's tenant, the tokens estimated, the horizon, the seconds that it may
#            take, a random number
#            → granted (1), come again (0) or parked (-1), the seconds to wait, the tokens reserved, who is to be called
#   settle   the call's id, the tokens estimated, reserved and used (-1 for unknown), its seconds (-1: it was not sent)
#            → who is to be called
#   pause    the seconds for which nobody is to send
#   slow     nothing
SCRIPT = f"""
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local state, calls, line, times, begun, tenants = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local function field(name, default) return tonumber(redis.call('HGET', state, name) or default) end
local function keep(name, value) redis.call('HSET', state, name, string.format('%.6f', value)) end

local whole = math.min(1, field('cut', 1) + math.max(0, now - field('cut_at', now)) / {RECOVERY_SECONDS})
local requests = tonumber(ARGV[2]) / 60 * {SHARE_OF_LIMIT} * whole
local tokens = tonumber(ARGV[3]) / 60 * {SHARE_OF_LIMIT} * whole
local places = tonumber(ARGV[4])

local function seconds_of(count) return tokens > 0 and count / tokens or 0 end
local function busy_until()
    local paused = field('pause', 0)
    local by_request = requests > 0 and field('requests', 0) or 0
    local by_tokens = tokens > 0 and field('tokens', 0) or 0
    return math.max(paused, now, math.max(by_request, by_tokens) - {BURST_SECONDS})
end
-- The seconds of the bucket that one call takes up on the average, by its rates and by its places.
local function cost_by_rate()
    return math.max(requests > 0 and 1 / requests or 0, seconds_of(field('mean', 0)), 0.01)
end
local function cost_by_place()
    return places > 0 and field('lasted', 1) / places or 0
end
local function cost()
    return math.max(cost_by_rate(), cost_by_place())
end
local function free()
    if places == 0 then return 1000000 end
    redis.call('ZREMRANGEBYSCORE', calls, '-inf', now)
    return places - redis.call('ZCARD', calls)
end

local function leave(asker)
    redis.call('ZREM', line, asker)
    redis.call('ZREM', times, asker)
end
local function forget_gone()
    local gone = redis.call('ZRANGEBYSCORE', times, '-inf', now - {GONE_SECONDS}, 'LIMIT', 0, 100)
    for _, asker in ipairs(gone) do leave(asker) end
    redis.call('ZREMRANGEBYSCORE', begun, '-inf', now)
    if redis.call('ZCARD', line) == 0 then redis.call('DEL', tenants) end
end
-- How many are on their way.
local function coming()
    return redis.call('ZCOUNT', times, now - {LATE_SECONDS}, now + 1)
end

-- Those who must come for the bucket to stay in use, the first of the line.
local function called()
    local names = {{}}
    if redis.call('ZCARD', line) == 0 or field('pause', 0) > now + {LEAD_SECONDS} then return names end
    local room = math.ceil(({LEAD_SECONDS} - (busy_until() - now)) / cost_by_rate())
    if places > 0 then room = math.min(room, math.max(free(), math.floor({LEAD_SECONDS} / cost_by_place()))) end
    local wanted = math.min(room - coming(), {MOST_CALLED})
    if wanted <= 0 then return names end
    for _, asker in ipairs(redis.call('ZRANGE', line, 0, 2 * {MOST_CALLED})) do
        if #names >= wanted then break end
        local told = tonumber(redis.call('ZSCORE', times, asker) or false)
        if not told or told > now + 1 then
            redis.call('ZADD', times, now, asker)
            names[#names + 1] = asker
        end
    end
    return names
end

-- A tenant's turns come one after the other, and who comes new begins where the line has come to.
local function next_turn(tenant)
    return math.max(field('turn', 0), tonumber(redis.call('HGET', tenants, tenant) or 0)) + 1
end
local function keep_turn(tenant, turn) redis.call('HSET', tenants, tenant, string.format('%.6f', turn)) end

local function grant(id, asker, tenant, start, expected, lasting)
    if requests > 0 then keep('requests', math.max(field('requests', 0), start) + 1 / requests) end
    if tokens > 0 then keep('tokens', math.max(field('tokens', 0), start) + seconds_of(expected)) end
    if places > 0 then redis.call('ZADD', calls, start + lasting, id) end
    keep('last', math.max(field('last', 0), start))
    local stood = tonumber(redis.call('ZSCORE', line, asker) or false)
    if stood then keep('turn', math.max(field('turn', 0), stood)) end
    leave(asker)
    if redis.call('ZCARD', line) > 0 then
        redis.call('ZADD', begun, 'NX', now + {TURN_SECONDS}, asker)
        if not stood then keep_turn(tenant, next_turn(tenant)) end
    end
end

local function reserve(id, asker, tenant, estimate, horizon, lasting, chance)
    forget_gone()
    redis.call('HSETNX', state, 'mean', estimate)
    local expected = estimate * field('ratio', 1)
    local start = busy_until()
    local told = tonumber(redis.call('ZSCORE', times, asker) or false)
    local going = redis.call('ZSCORE', begun, asker)
    local stood = tonumber(redis.call('ZSCORE', line, asker) or false)
    local turn = stood or (going and field('turn', 0)) or next_turn(tenant)
    local ahead = redis.call('ZCOUNT', line, '-inf', '(' .. string.format('%.6f', turn))
    local lead = math.min({LEAD_SECONDS}, horizon * 0.6)
    local mine = going or (told and told <= now + 0.5 and ahead * cost() <= horizon + lead)
    local others = coming()
    if told and told >= now - {LATE_SECONDS} and told <= now + 1 then others = others - 1 end
    local open = free()
    -- Those before it in line are passed only by who has begun, or where nobody of them is there to use what would be
    -- lost.
    local allowed = mine or ahead == 0 or (start - now < lead / 4 and open > others)
    if allowed and open > 0 and start - now <= horizon then
        grant(id, asker, tenant, start, expected, lasting)
        return {{1, string.format('%.6f', start - now), string.format('%.6f', expected), called()}}
    end
    if not stood then
        redis.call('ZADD', line, turn, asker)
        if not going then keep_turn(tenant, turn) end
    end
    local waits = start - now + ahead * cost()
    if open <= (mine and 0 or others) then
        waits = math.max(waits, (ahead + 1) * cost())
        if waits <= horizon then
            local again = math.min(math.max(waits / 2, 0.02), 0.25)
            redis.call('ZADD', times, now + again, asker)
            return {{0, string.format('%.6f', again), '0', called()}}
        end
    end
    local comes = math.max(1, waits - lead)
    if comes > {LONGEST_SECONDS} then comes = {LONGEST_SECONDS} * (0.5 + chance / 2) end
    if told and told > now + 0.5 then comes = math.min(comes, told - now) end
    redis.call('ZADD', times, now + comes, asker)
    return {{-1, string.format('%.6f', comes), '0', called()}}
end

-- Not back to before a time that was given to somebody: those who come would be sent between those who have one.
local function move(name, seconds)
    local at = field(name, 0)
    keep(name, math.max(at + seconds, math.min(at, field('last', 0))))
end

local function settle(id, estimate, reserved, used, lasted)
    redis.call('ZREM', calls, id)
    if lasted < 0 then
        if requests > 0 then move('requests', -1 / requests) end
        used = 0
    elseif used >= 0 then
        -- Of the last twenty calls or so.
        keep('used', field('used', 0) * 0.95 + used)
        keep('estimated', field('estimated', 0) * 0.95 + estimate)
        keep('ratio', math.max(0.01, math.min(2, field('used', 0) / math.max(1, field('estimated', 1)))))
        keep('mean', field('mean', used) * 0.9 + used * 0.1)
        keep('lasted', field('lasted', lasted) * 0.9 + lasted * 0.1)
    end
    if tokens > 0 and used >= 0 then move('tokens', seconds_of(used - reserved)) end
    return called()
end

local done = {{}}
if ARGV[1] == 'reserve' then
    done = reserve(ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10]),
                   tonumber(ARGV[11]))
elseif ARGV[1] == 'settle' then
    done = settle(ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]))
elseif ARGV[1] == 'pause' then
    keep('pause', math.max(field('pause', 0), now + tonumber(ARGV[5])))
elseif ARGV[1] == 'slow' and now - field('cut_at', 0) > {CUT_SECONDS} then
    keep('cut', math.max({LEAST_CUT}, whole * {CUT}))
    keep('cut_at', now)
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, {KEPT_SECONDS}) end
return done
"""

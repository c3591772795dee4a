-- Answers a batch of asks, all hosts in one go; see politeness.py.
--
-- ARGV: the prefix of all keys; the time (empty: the server's); how far ahead a place in a queue
-- may lie, and how long the place of one that does not come is kept, both in seconds; the asks as
-- JSON, each a list: host, lane, who, token, seconds that the token lives, requests at once, spacing
-- of the host, spacing of the lane. Returns as JSON, in the order of the asks: -1 for "admitted",
-- -2 for "no place", else the seconds to wait.
--
-- Per host  :tokens  token -> when it runs out        :starts  lane -> when its last request began
-- Per lane  :queue   who -> place, ever growing       :due     who -> when it was told to come
--
-- No keys are declared, for they follow from the asks. A cluster cannot be the broker anyway.

local prefix, now = ARGV[1], tonumber(ARGV[2])
local longest_queue, lateness = tonumber(ARGV[3]), tonumber(ARGV[4])
local grace = 5
local asks = cjson.decode(ARGV[5])
local call = redis.call
if not now then
    local time = call('TIME')
    now = time[1] + time[2] / 1e6
end

local function keep(key, seconds)
    local milliseconds = math.ceil(seconds * 1000)
    if call('PTTL', key) < milliseconds then
        call('PEXPIRE', key, milliseconds)
    end
end

local hosts = {}

-- What is known of a host, read once a batch. A start in the future is a clock's that was set back.
local function host_named(name)
    if hosts[name] then
        return hosts[name]
    end
    local host = {key = prefix .. name, last = -math.huge, began = {}, lanes = {}}
    host.tokens, host.starts = host.key .. ':tokens', host.key .. ':starts'
    call('ZREMRANGEBYSCORE', host.tokens, '-inf', now)
    host.in_flight = call('ZCARD', host.tokens)
    local starts = call('HGETALL', host.starts)
    for i = 1, #starts, 2 do
        host.began[starts[i]] = math.min(now, tonumber(starts[i + 1]))
        host.last = math.max(host.last, host.began[starts[i]])
    end
    hosts[name] = host
    return host
end

-- A lane of a host, without those who did not come.
local function lane_named(name, host)
    if host.lanes[name] then
        return host.lanes[name]
    end
    local key = host.key .. ':' .. name
    local lane = {name = name, queue = key .. ':queue', due = key .. ':due'}
    for _, who in ipairs(call('ZRANGEBYSCORE', lane.due, '-inf', now - lateness)) do
        call('ZREM', lane.queue, who)
        call('ZREM', lane.due, who)
    end
    lane.length = call('ZCARD', lane.queue)
    host.lanes[name] = lane
    return lane
end

local function admit(ask)
    local host, lane = ask.host, ask.lane
    call('ZADD', host.tokens, now + ask.seconds, ask.token)
    keep(host.tokens, ask.seconds)
    call('HSET', host.starts, lane.name, now)
    keep(host.starts, math.max(ask.spacing, ask.seconds))
    host.in_flight, host.last, host.began[lane.name] = host.in_flight + 1, now, now
    if call('ZREM', lane.queue, ask.who) == 1 then
        call('ZREM', lane.due, ask.who)
        lane.length = lane.length - 1
    end
end

local function queue_up(ask)
    local lane = ask.lane
    local tail = tonumber(call('ZRANGE', lane.queue, -1, -1, 'WITHSCORES')[2] or 0)
    call('ZADD', lane.queue, tail + 1, ask.who)
    lane.length = lane.length + 1
end

local function come_again(ask, due)
    local lane = ask.lane
    call('ZADD', lane.due, due, ask.who)
    keep(lane.queue, due - now + lateness)
    keep(lane.due, due - now + lateness)
end

local function answer(ask)
    local host, lane = ask.host, ask.lane
    local rank = lane.length > 0 and call('ZRANK', lane.queue, ask.who)
    local is_queued = rank and true
    rank = rank or lane.length
    local opens = math.max(
        host.last + ask.host_spacing, (host.began[lane.name] or -math.huge) + ask.spacing)
    local is_full = host.in_flight >= ask.at_once
    local is_turn = rank == 0
        or is_queued and (tonumber(call('ZSCORE', lane.due, ask.who)) or now) <= now
        or now >= opens + grace  -- those before do not come
    if is_turn and not is_full and now >= opens then
        admit(ask)
        return -1
    end
    local step = ask.spacing > 0 and ask.spacing or 1 / ask.at_once
    local due = opens
    if is_full then
        -- As long as nothing could begin, so long it may take again.
        local stuck = host.last > 0 and now - host.last or 0
        due = math.max(due, now + step, now + stuck / ask.at_once)
    end
    due = math.max(due, now) + rank * step
    if not is_queued then
        if due - now > longest_queue then
            return -2
        end
        queue_up(ask)
    end
    due = math.min(due, now + longest_queue)
    come_again(ask, due)
    return math.ceil((due - now) * 1000) / 1000  -- up: whoever keeps to it is not early
end

local answers, in_turn = {}, {}
for i, given in ipairs(asks) do
    local ask = {index = i}
    ask.host = host_named(given[1])
    ask.lane = lane_named(given[2], ask.host)
    ask.who, ask.token, ask.seconds = given[3], given[4], given[5]
    ask.at_once, ask.host_spacing, ask.spacing = given[6], given[7], given[8]
    ask.place = ask.lane.length > 0 and tonumber(call('ZSCORE', ask.lane.queue, ask.who))
        or math.huge
    answers[i], in_turn[i] = 0, ask
end
table.sort(in_turn, function(a, b)
    return a.place < b.place or a.place == b.place and a.index < b.index
end)
for _, ask in ipairs(in_turn) do
    answers[ask.index] = answer(ask)
end
return cjson.encode(answers)

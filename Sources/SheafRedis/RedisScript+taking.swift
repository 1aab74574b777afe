/// The scripts that add requests, and that take them from the list or stream.
extension RedisScript {
    /// Defines `stage`, which puts requests under their keys and drops repeats, and returns the items that it dropped.
    ///
    /// A request is `{k, id, digest, size, item, time}`.
    static let staging = """
        local function stage(requests, window)
            local seen, recent = p .. 'seen', p .. 'recent'
            local ids, known, dropped, keys, fresh = {}, {}, {}, {}, {}
            for _, request in ipairs(requests) do
                if request[2] ~= '' then ids[#ids + 1] = request[2] end
            end
            if #ids > 0 then
                for i, value in ipairs(redis.call('HMGET', seen, unpack(ids))) do
                    if value then known[ids[i]] = value:sub(1, 16) end
                end
            end
            for _, request in ipairs(requests) do
                local k, id, flag, before = request[1], request[2], '0', known[request[2]]
                if id ~= '' and not before then
                    known[id] = request[3]
                    fresh[#fresh + 1] = id
                elseif id ~= '' and before ~= request[3] then
                    flag = '1'
                end
                if id ~= '' and before == request[3] then
                    dropped[#dropped + 1] = request[5]
                else
                    local list = keys[k] or {items = {}, notes = {}, size = 0}
                    keys[k] = list
                    list.items[#list.items + 1] = request[5]
                    list.notes[#list.notes + 1] = number(request[6]) .. ' ' .. request[4] .. ' ' .. flag .. ' ' .. id
                    list.size = list.size + request[4]
                    list.oldest = list.oldest or request[6]
                end
            end
            for k, list in pairs(keys) do
                redis.call('RPUSH', p .. 'items:' .. k, unpack(list.items))
                redis.call('RPUSH', p .. 'notes:' .. k, unpack(list.notes))
                redis.call('HINCRBY', p .. 'counts', k, #list.items)
                redis.call('HINCRBY', p .. 'sizes', k, number(list.size))
                redis.call('ZADD', p .. 'oldest', 'NX', number(list.oldest), k)
            end
            if #fresh > 0 then
                local values = {}
                for _, id in ipairs(fresh) do
                    values[#values + 1] = id
                    values[#values + 1] = known[id]
                end
                redis.call('HSET', seen, unpack(values))
                redis.call('RPUSH', recent, unpack(fresh))
                local old = redis.call('LLEN', recent) - window
                if old > 0 then redis.call('HDEL', seen, unpack(redis.call('LPOP', recent, old))) end
            end
            return dropped
        end
        """

    /// Defines `mark`, which notes how many elements the list has got at a time.
    ///
    /// The time of arrival of an element is that of the last mark before it: never later than it really came.
    static let marking = """
        local marks = p .. 'marks'
        local function mark(now)
            local position = tonumber(redis.call('HGET', state, 'taken') or '0') + redis.call('LLEN', source)
            local last = redis.call('LINDEX', marks, -1)
            while last do
                local at, time = last:match('^(%d+) (%-?%d+)$')
                at, time = tonumber(at), tonumber(time)
                if at == position then
                    if now > time then redis.call('LSET', marks, -1, number(position) .. ' ' .. number(now)) end
                    return
                end
                if at < position then
                    if now - time < (redis.call('LLEN', marks) < 10000 and 100 or 60000) then return end
                    break
                end
                redis.call('RPOP', marks)  -- another program has removed elements
                last = redis.call('LINDEX', marks, -1)
            end
            redis.call('RPUSH', marks, number(position) .. ' ' .. number(now))
        end
        """

    /// Adds elements to a list; arguments: time, and elements.
    static let addToList = RedisScript(
        prelude,
        marking,
        """
        mark(tonumber(ARGV[1]))
        return redis.call('RPUSH', source, unpack(ARGV, 2))
        """
    )

    /// Takes elements from a list; arguments: time, how many were taken before, how many ids to remember, and for each
    /// element k, id, digest, size of the request, and size of the element.
    ///
    /// Returns -1 if the list has changed.
    static let takeFromList = RedisScript(
        prelude,
        marking,
        staging,
        """
        local now, taken, count = tonumber(ARGV[1]), redis.call('HGET', state, 'taken') or '0', (#ARGV - 3) / 5
        mark(now)
        if taken ~= ARGV[2] then return -1 end
        if count == 0 then return 0 end
        local elements = redis.call('LRANGE', source, 0, count - 1)
        if #elements < count then return -1 end
        for i, element in ipairs(elements) do
            if #element ~= tonumber(ARGV[3 + i * 5]) then return -1 end
        end
        local position, requests = tonumber(taken), {}
        local arrival, next_mark = 0, -1
        for i, element in ipairs(elements) do
            if next_mark and next_mark <= position then
                local following = redis.call('LINDEX', marks, 1)
                while following and tonumber(following:match('^%d+')) <= position do
                    redis.call('LPOP', marks)
                    following = redis.call('LINDEX', marks, 1)
                end
                next_mark = following and tonumber(following:match('^%d+'))
                local at, time = (redis.call('LINDEX', marks, 0) or ''):match('^(%d+) (%-?%d+)$')
                arrival = at and tonumber(at) <= position and math.min(tonumber(time), now) or 0
            end
            local base = 3 + (i - 1) * 5
            requests[i] = {ARGV[base + 1], ARGV[base + 2], ARGV[base + 3], ARGV[base + 4], element, arrival}
            position = position + 1
        end
        redis.call('LTRIM', source, count, -1)
        redis.call('HSET', state, 'taken', number(position))
        stage(requests, tonumber(ARGV[3]))
        return count
        """
    )

    /// Adds entries to a stream; arguments: time or nothing, and for each entry its id, kind and data.
    static let addToStream = RedisScript(
        prelude,
        """
        for i = 2, #ARGV, 3 do
            local at = ARGV[1] == '' and '*' or ARGV[1] .. '-*'
            local fields = {'id', ARGV[i], 'kind', ARGV[i + 1], 'data', ARGV[i + 2]}
            local reply = redis.pcall('XADD', source, at, unpack(fields))
            -- The stream has entries with later times.
            if type(reply) == 'table' and reply.err then redis.call('XADD', source, '*', unpack(fields)) end
        end
        return 1
        """
    )

    /// Takes entries from a stream into the consumer group; arguments: time, the id of the last entry that was taken
    /// before, how many ids to remember, the consumer group, idle milliseconds or nothing, and for each entry k, id,
    /// digest, size, and its id in the stream.
    ///
    /// With idle milliseconds, takes over what other consumers have held for so long. Returns -1 if the stream has
    /// changed.
    static let takeFromStream = RedisScript(
        prelude,
        staging,
        streams,
        """
        local now, group, idle, count = tonumber(ARGV[1]), ARGV[4], ARGV[5], (#ARGV - 5) / 5
        local described, requests = {}, {}
        for i = 0, count - 1 do described[ARGV[5 + i * 5 + 5]] = 5 + i * 5 end
        local function take(id)
            local base = described[id]
            local time = math.min(tonumber(id:match('^%d+')), now)
            requests[#requests + 1] = {ARGV[base + 1], ARGV[base + 2], ARGV[base + 3], ARGV[base + 4], id, time}
        end
        if idle ~= '' then
            for i = 0, count - 1 do
                local id = ARGV[5 + i * 5 + 5]
                if #redis.call('XCLAIM', source, group, 'sheaf', idle, id, 'JUSTID') > 0 then take(id) end
            end
        else
            if delivered(group) ~= ARGV[2] then return -1 end
            if count == 0 then return 0 end
            local reply = redis.call('XREADGROUP', 'GROUP', group, 'sheaf', 'COUNT', count, 'STREAMS', source, '>')
            for _, entry in ipairs(reply and reply[1][2] or {}) do
                if described[entry[1]] then
                    take(entry[1])
                else
                    -- The stream has changed since it was read: this entry is found as one that nothing takes.
                    redis.call('XCLAIM', source, group, 'sheaf-later', 0, entry[1], 'IDLE', 86400000, 'JUSTID')
                end
            end
        end
        local dropped = stage(requests, tonumber(ARGV[3]))
        if #dropped > 0 then
            redis.call('XACK', source, group, unpack(dropped))
            redis.call('XDEL', source, unpack(dropped))
        end
        return #requests
        """
    )
}

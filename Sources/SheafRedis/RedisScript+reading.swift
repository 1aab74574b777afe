/// The scripts that read requests before they are taken, and those of a group.
extension RedisScript {
    /// Returns how many elements were taken before, and then elements of the list; arguments: number of elements,
    /// bytes, and the size from which an element is replaced by its size.
    static let peekList = RedisScript(
        prelude,
        reading,
        """
        local output = read(source, 0, tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]))
        table.insert(output, 1, redis.call('HGET', state, 'taken') or '0')
        return output
        """
    )

    /// Returns elements of a group, each followed by its note; arguments: k, position, number, bytes, largest size,
    /// batch.
    ///
    /// Returns -1 if the group is not the one that is not finished.
    static let readList = RedisScript(
        prelude,
        reading,
        """
        if redis.call('HGET', state, 'batch') ~= ARGV[6] then return -1 end
        local start = tonumber(ARGV[2])
        local elements = read(p .. 'items:' .. ARGV[1], start, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
        if #elements == 0 then return {} end
        local notes = redis.call('LRANGE', p .. 'notes:' .. ARGV[1], start, start + #elements - 1)
        local output = {}
        for i, element in ipairs(elements) do
            output[2 * i - 1] = element
            output[2 * i] = notes[i]
        end
        return output
        """
    )

    static let reading = """
        local function read(list, start, count, bytes, largest)
            local output, total = {}, 0
            for first = start, start + count - 1, 16 do
                local elements = redis.call('LRANGE', list, first, math.min(first + 16, start + count) - 1)
                for _, element in ipairs(elements) do
                    if #element > largest then
                        output[#output + 1] = #element
                    else
                        total = total + #element
                        if #output > 0 and total > bytes then return output end
                        output[#output + 1] = element
                    end
                end
                if #elements < 16 then break end
            end
            return output
        end
        """

    /// Returns the id of the last entry that the group was given, and then entries after it; arguments: number, bytes,
    /// largest size, consumer group.
    ///
    /// An entry is its id and its fields, or its size if it is too large.
    static let peekStream = RedisScript(
        prelude,
        streams,
        """
        local count, bytes, largest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
        local last = delivered(ARGV[4])
        local output, total, after = {last}, 0, last
        while #output <= count do
            local entries = redis.call('XRANGE', source, '(' .. after, '+', 'COUNT', 16)
            for _, entry in ipairs(entries) do
                local shown, size = show(entry, largest)
                total = total + size
                if #output > count or #output > 1 and total > bytes then return output end
                output[#output + 1] = shown
                after = entry[1]
            end
            if #entries < 16 then break end
        end
        return output
        """
    )

    /// Returns entries that other consumers of the group have held for long; arguments: number, bytes, largest size,
    /// consumer group, idle milliseconds.
    static let orphans = RedisScript(
        prelude,
        streams,
        """
        local count, bytes, largest, group = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
        local output, total = {}, 0
        delivered(group)
        for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', source, group)) do
            local name = field(consumer, 'name')
            if name ~= 'sheaf' and field(consumer, 'pending') > 0 then
                local held = redis.call('XPENDING', source, group, 'IDLE', ARGV[5], '-', '+', count, name)
                for _, pending in ipairs(held) do
                    local entry = redis.call('XRANGE', source, pending[1], pending[1])[1]
                    if entry then
                        local shown, size = show(entry, largest)
                        total = total + size
                        if #output >= count or #output > 0 and total > bytes then return output end
                        output[#output + 1] = shown
                    else
                        redis.call('XACK', source, group, pending[1])
                    end
                end
            end
        end
        return output
        """
    )

    /// Returns entries of a group, each followed by its note; arguments and result are those of ``readList``.
    static let readStream = RedisScript(
        prelude,
        streams,
        """
        if redis.call('HGET', state, 'batch') ~= ARGV[6] then return -1 end
        local start, count, bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
        local ids = redis.call('LRANGE', p .. 'items:' .. ARGV[1], start, start + count - 1)
        local notes = redis.call('LRANGE', p .. 'notes:' .. ARGV[1], start, start + count - 1)
        local output, total = {}, 0
        for i, id in ipairs(ids) do
            local entry = redis.call('XRANGE', source, id, id)[1] or {id}
            local shown, size = show(entry, tonumber(ARGV[5]))
            total = total + size
            if i > 1 and total > bytes then break end
            output[2 * i - 1] = shown
            output[2 * i] = notes[i]
        end
        return output
        """
    )

    /// Defines `delivered`, which creates the consumer group if there is none and returns the id of the last entry that
    /// the group was given, and `show`, which returns an entry, or its id and size if it is large, and its size.
    static let streams = """
        local function field(reply, name)
            for i = 1, #reply, 2 do
                if reply[i] == name then return reply[i + 1] end
            end
        end
        local function delivered(name)
            if redis.call('EXISTS', source) == 1 then
                for _, group in ipairs(redis.call('XINFO', 'GROUPS', source)) do
                    if field(group, 'name') == name then return field(group, 'last-delivered-id') end
                end
            end
            redis.call('XGROUP', 'CREATE', source, name, '0', 'MKSTREAM')
            return '0-0'
        end
        local function show(entry, largest)
            local size = 0
            for _, value in ipairs(entry[2] or {}) do size = size + #value end
            if size > largest then return {entry[1], size}, 0 end
            return entry, size
        end
        """
}

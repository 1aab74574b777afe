import CHiredis

/// A Lua script, which Redis and Valkey run atomically.
///
/// Its first key is the queue, and its second key is the prefix of the names of what Sheaf keeps beside it:
///
/// - `state`, a hash: how many elements were taken from a list (`taken`), and the group that is not finished
///   (`batch`, `group_key`, `group_count`, `group_arguments`)
/// - `items:<k>`, a list: what waits under the key `k`, first the group that is not finished: the elements of a list,
///   or the ids of entries of a stream
/// - `notes:<k>`, a list with `time size flag id` for each of them; the flag is 1 if the id belongs to another request
/// - `counts`, `sizes`, `oldest` and `flushed`: of each `k`, without the group
/// - `seen`, a hash, and `recent`, a list: the newest ids, with the digests of their requests, then their batches
/// - `marks`, a list with `position time`: how many elements a list had got at a time
/// - `lock`: the token of the process that decides
struct RedisScript: Sendable {
    let text: String
    /// The name of the script in Redis.
    let digest: String

    init(_ parts: String...) {
        text = parts.joined(separator: "\n")
        var bytes = Array(text.utf8)
        var output = [UInt8](repeating: 0, count: 20)
        chir_script_digest(&bytes, bytes.count, &output)
        let digits = Array("0123456789abcdef".utf8)
        digest = String(decoding: output.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// How many values one command in a script has at most; Lua's stack is limited.
    static let chunk = 500

    static let prelude = """
        local source, p = KEYS[1], KEYS[2]
        local state, lock = p .. 'state', p .. 'lock'
        local function number(value) return string.format('%.0f', value) end
        """

    // MARK: Deciding

    /// Takes or keeps the lock; arguments: token, milliseconds.
    ///
    /// Returns 1 if this process has it.
    static let lead = RedisScript(
        prelude,
        """
        local holder = redis.call('GET', lock)
        if holder and holder ~= ARGV[1] then return 0 end
        redis.call('SET', lock, ARGV[1], 'PX', ARGV[2])
        return 1
        """
    )

    /// Releases the lock; argument: token.
    static let release = RedisScript(
        prelude,
        "if redis.call('GET', lock) == ARGV[1] then redis.call('DEL', lock) end return 1"
    )

    /// Makes due what waits.
    static let flush = RedisScript(
        prelude,
        """
        local counts = redis.call('HGETALL', p .. 'counts')
        for i = 1, #counts, 2 do redis.call('HSET', p .. 'flushed', counts[i], counts[i + 1]) end
        return 1
        """
    )

    /// Returns number, bytes and the time of the oldest of what waits.
    static let waiting = RedisScript(
        prelude,
        """
        local count, bytes = 0, 0
        for _, value in ipairs(redis.call('HVALS', p .. 'counts')) do count = count + value end
        for _, value in ipairs(redis.call('HVALS', p .. 'sizes')) do bytes = bytes + value end
        local oldest = redis.call('ZRANGE', p .. 'oldest', 0, 0, 'WITHSCORES')
        return {count, bytes, oldest[2] or ''}
        """
    )

    /// Returns the group that is not finished, or decides the next one.
    ///
    /// Arguments: token, milliseconds of the lock, most requests, most bytes, the time before which a request is due,
    /// the id of the batch, its shared arguments. Returns nothing, or batch, key, count and arguments; -1 without the lock.
    static let claim = RedisScript(
        prelude,
        """
        if redis.call('GET', lock) ~= ARGV[1] then return -1 end
        redis.call('PEXPIRE', lock, ARGV[2])
        local function group()
            return redis.call('HMGET', state, 'batch', 'group_key', 'group_count', 'group_arguments')
        end
        if redis.call('HEXISTS', state, 'batch') == 1 then return group() end
        local most, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
        local k, oldest
        local function choose(name, limit)
            local values = redis.call('HGETALL', p .. name)
            for i = 1, #values, 2 do
                if tonumber(values[i + 1]) >= limit then
                    -- The oldest of those that are full; at the same time, one with a value before one without.
                    local time = tonumber(redis.call('ZSCORE', p .. 'oldest', values[i]) or '0')
                    if not values[i]:find('%z') then time = time + 0.5 end
                    if not k or time < oldest then k, oldest = values[i], time end
                end
            end
        end
        choose('counts', most)
        choose('sizes', most_bytes)
        if not k then k = redis.call('ZRANGEBYSCORE', p .. 'oldest', '-inf', ARGV[5], 'LIMIT', 0, 1)[1] end
        if not k then k = redis.call('HKEYS', p .. 'flushed')[1] end
        if not k then return {} end
        local notes, count, bytes, full = p .. 'notes:' .. k, 0, 0, false
        while not full do
            local chunk = redis.call('LRANGE', notes, count, count + 999)
            if #chunk == 0 then break end
            for _, note in ipairs(chunk) do
                local size = tonumber(note:match('^%-?%d+ (%d+)'))
                if count > 0 and bytes + size > most_bytes then full = true break end
                count, bytes = count + 1, bytes + size
                if count >= most or bytes >= most_bytes then full = true break end
            end
        end
        if count == 0 then
            for _, name in ipairs({'counts', 'sizes', 'flushed'}) do redis.call('HDEL', p .. name, k) end
            redis.call('ZREM', p .. 'oldest', k)
            return {}
        end
        local following = redis.call('LINDEX', notes, count)
        if following then
            redis.call('HINCRBY', p .. 'counts', k, -count)
            redis.call('HINCRBY', p .. 'sizes', k, -bytes)
            redis.call('ZADD', p .. 'oldest', following:match('^%-?%d+'), k)
        else
            redis.call('HDEL', p .. 'counts', k)
            redis.call('HDEL', p .. 'sizes', k)
            redis.call('ZREM', p .. 'oldest', k)
        end
        local flushed = tonumber(redis.call('HGET', p .. 'flushed', k) or '0') - count
        redis.call('HDEL', p .. 'flushed', k)
        if flushed > 0 then redis.call('HSET', p .. 'flushed', k, flushed) end
        redis.call('HSET', state, 'batch', ARGV[6], 'group_key', k, 'group_count', count, 'group_arguments', ARGV[7])
        return group()
        """
    )

    /// Removes the requests of a group, and notes the batch beside their ids; arguments: batch, 1 for a stream, the
    /// consumer group.
    ///
    /// Has no effect if the group is not the one that is not finished.
    static let finish = RedisScript(
        prelude,
        """
        if redis.call('HGET', state, 'batch') ~= ARGV[1] then return 0 end
        local k, count = redis.call('HGET', state, 'group_key'), tonumber(redis.call('HGET', state, 'group_count'))
        local seen, notes, items = p .. 'seen', p .. 'notes:' .. k, p .. 'items:' .. k
        for start = 0, count - 1, \(chunk) do
            local last = math.min(start + \(chunk), count) - 1
            local ids, found = {}, {}
            for _, note in ipairs(redis.call('LRANGE', notes, start, last)) do
                local flag, id = note:match('^%-?%d+ %d+ (%d) (.*)$')
                if flag == '0' and id ~= '' then ids[#ids + 1] = id end
            end
            if #ids > 0 then
                for i, value in ipairs(redis.call('HMGET', seen, unpack(ids))) do
                    if value then
                        found[#found + 1] = ids[i]
                        found[#found + 1] = value:sub(1, 16) .. ARGV[1]
                    end
                end
                if #found > 0 then redis.call('HSET', seen, unpack(found)) end
            end
            if ARGV[2] == '1' then
                local entries = redis.call('LRANGE', items, start, last)
                redis.pcall('XACK', source, ARGV[3], unpack(entries))
                redis.pcall('XDEL', source, unpack(entries))
            end
        end
        redis.call('LTRIM', items, count, -1)
        redis.call('LTRIM', notes, count, -1)
        redis.call('HDEL', state, 'batch', 'group_key', 'group_count', 'group_arguments')
        return 1
        """
    )
}

import CHiredis
import SheafDispatch

/// One connection to Redis, used by one thread at a time.
///
/// Sockets and TLS are those of the shim; hiredis parses the replies.
struct RedisLink: ~Copyable, @unchecked Sendable {
    private var socket = chir_socket()
    private let reader: UnsafeMutablePointer<redisReader>?
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    init() {
        socket.fd = -1
        reader = redisReaderCreate()
    }

    /// Connects, and logs in; throws ``RequestQueueError``.
    mutating func open(_ url: RedisURL, within limit: Duration) throws(RequestQueueError) {
        let deadline = Self.deadline(limit)
        guard chir_connect(&socket, url.host, String(url.port), deadline) == 0 else { throw failure(url) }
        if let tls = url.tls,
            chir_start_tls(&socket, url.host, tls.roots, tls.certificate, tls.key, deadline) != 0
        {
            throw failure(url)
        }
        try logIn(url, limit)
    }

    deinit {
        var socket = socket
        chir_close(&socket)
        if let reader { redisReaderFree(reader) }
    }

    /// The descriptor, by which another thread can end a wait.
    var descriptor: Int32 { socket.fd }

    private mutating func logIn(_ url: RedisURL, _ limit: Duration) throws(RequestQueueError) {
        var commands: [RedisCommand] = []
        if let password = url.password {
            let user = url.user.map { [$0] } ?? []
            commands.append(RedisCommand((["AUTH"] + user + [password]).map { Array($0.utf8) }))
        }
        // Always sent: it shows a missing password too.
        commands.append(RedisCommand("SELECT", String(url.database)))
        for case .error(let text) in try exchange(commands, url, within: limit) {
            // A server that is starting is not a refusal.
            if RedisClient.isTransient(text) { throw RequestQueueError(.unreachable, "\(url): \(text)") }
            throw RequestQueueError(.refused, "Redis at \(url) refuses the connection: \(text)")
        }
    }

    /// Sends commands, and returns their replies.
    mutating func exchange(
        _ commands: [RedisCommand],
        _ url: RedisURL,
        within limit: Duration
    ) throws(RequestQueueError) -> [RedisValue] {
        guard let reader else {
            throw RequestQueueError(.unreachable, "there is no memory for a connection to \(url)")
        }
        let deadline = Self.deadline(limit)
        let bytes = commands.count == 1 ? commands[0].bytes : commands.flatMap(\.bytes)
        guard chir_send(&socket, bytes, bytes.count, deadline) == 0 else { throw failure(url) }
        var replies: [RedisValue] = []
        while replies.count < commands.count {
            var reply: UnsafeMutableRawPointer?
            guard redisReaderGetReply(reader, &reply) == REDIS_OK else {
                throw RequestQueueError(.unreachable, "\(url) does not speak the protocol of Redis")
            }
            if let reply {
                replies.append(RedisValue(reply.assumingMemoryBound(to: redisReply.self)))
                freeReplyObject(reply)
                continue
            }
            let count = chir_receive(&socket, &buffer, buffer.count, deadline)
            guard count > 0 else { throw failure(url) }
            let status = buffer.withUnsafeBytes { bytes in
                redisReaderFeed(reader, bytes.bindMemory(to: CChar.self).baseAddress, count)
            }
            guard status == REDIS_OK else {
                throw RequestQueueError(.unreachable, "\(url) does not speak the protocol of Redis")
            }
        }
        return replies
    }

    private static func deadline(_ limit: Duration) -> Int64 {
        chir_now() + max(1, limit.components.seconds * 1000 + limit.components.attoseconds / 1_000_000_000_000_000)
    }

    private func failure(_ url: RedisURL) -> RequestQueueError {
        let reason = withUnsafeBytes(of: socket.failure) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RequestQueueError(.unreachable, "cannot reach Redis at \(url): \(reason)")
    }
}

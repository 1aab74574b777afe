import SheafBatches
public import SheafCore
public import SheafDispatch
public import SheafSources

/// A request queue in Redis or Valkey: a list or a stream, to which programs in any language append.
///
/// What is decided is in Redis too, and each decision is one script. Use ``close()`` at the end.
public actor RedisRequestQueue: RequestQueue {
    /// The name of the dispatcher whose requests these are.
    public nonisolated let name: Name
    let configuration: RedisRequestQueueConfiguration
    let redis: RedisClient
    /// Waits for new requests, so that its connection is not free for anything else.
    private let listener: RedisClient
    private let key: RequestKey?
    private let token = RequestID.random(in: "lock")
    private var leads = false
    private var renewing: Task<Void, Never>?
    private var listening: Task<Void, Never>?
    private var isTaking = false
    /// The last entry that was taken from a stream.
    private var lastEntry = "0-0"
    private let changed = Changes()

    /// The name of the list or stream.
    nonisolated let source: String
    nonisolated let prefix: String

    /// The consumer group of a stream.
    static let group = "sheaf"
    /// How many bytes one reply or one command has, about.
    private static let chunkBytes = 4 << 20

    private init(url: RedisURL, name: Name, configuration: RedisRequestQueueConfiguration) {
        self.name = name
        self.configuration = configuration
        (redis, listener) = (RedisClient(url: url), RedisClient(url: url))
        key = configuration.key.map { RequestKey($0) }
        source = configuration.queueKey ?? name.text
        // Braces keep all keys in one slot of a cluster.
        prefix = (source.contains("{") ? source : "{\(source)}") + ":sheaf:"
    }

    /// Opens the queue, which need not exist yet.
    ///
    /// - Throws: ``RequestQueueError`` with `unreachable`, or `refused` if the password or the key's type is wrong.
    public static func open(
        url: RedisURL,
        name: Name,
        configuration: RedisRequestQueueConfiguration = RedisRequestQueueConfiguration()
    ) async throws -> RedisRequestQueue {
        let queue = RedisRequestQueue(url: url, name: name, configuration: configuration)
        do {
            try await queue.begin()
        } catch {
            await queue.close()
            throw error
        }
        return queue
    }

    private func begin() async throws {
        let type = try await redis.send("TYPE", source).text ?? "none"
        guard ["none", configuration.kind.rawValue].contains(type) else {
            throw RequestQueueError(
                .refused,
                "the key '\(source)' of Redis at \(redis.url) holds a \(type), and not a \(configuration.kind.rawValue)"
            )
        }
        // The first look: what comes later has come after it.
        if configuration.kind == .list { _ = try await take([], after: nil) }
    }

    /// A stream with an element at first, and whenever there may be a new group.
    public func changes() -> AsyncStream<Void> {
        if listening == nil { listening = Task { [weak self] in while await self?.listen() ?? false {} } }
        return changed.stream()
    }

    /// Ends the use of the queue by this process; another one may then decide for it.
    public func close() async {
        renewing?.cancel()
        listening?.cancel()
        changed.finish()
        listener.close()
        if leads {
            leads = false
            _ = try? await run(.release, [Array(token.utf8)], for: .zero)
        }
        redis.close()
    }

    var now: Timestamp { configuration.clock?() ?? .now }

    func run(
        _ script: RedisScript,
        _ arguments: [[UInt8]] = [],
        for patience: Duration = RedisClient.patience
    ) async throws -> RedisValue {
        try await redis.run(script, [([source, prefix], arguments)], for: patience)[0]
    }

    // MARK: Adding

    /// Adds requests in order, and returns once all of them are stored.
    public func add(_ requests: [Record]) async throws {
        for request in requests { try RequestID.check(request) }
        if requests.isEmpty { return }
        if let limit = configuration.maxWaiting {
            let count = try await waiting().count
            if count + requests.count > limit {
                throw RequestQueueError.full(name, waiting: count, adding: requests.count, limit: limit)
            }
        }
        let isList = configuration.kind == .list
        let time = isList || configuration.clock != nil ? argument(now.milliseconds) : []
        var calls: [(keys: [String], arguments: [[UInt8]])] = []
        var (arguments, bytes) = ([time], 0)
        for request in requests {
            let parts = isList ? [RequestElement.encode(request)] : RequestElement.fields(request)
            arguments += parts
            bytes += parts.reduce(0) { $0 + $1.count }
            if arguments.count > RedisScript.chunk || bytes >= Self.chunkBytes {
                calls.append(([source, prefix], arguments))
                (arguments, bytes) = ([time], 0)
            }
        }
        if arguments.count > 1 { calls.append(([source, prefix], arguments)) }
        _ = try await redis.run(isList ? .addToList : .addToStream, calls)
    }

    // MARK: Taking in

    /// Returns once all requests whose addition has returned before the call are known.
    public func update() async throws {
        // A call that waited for another one would not know whether that one has seen everything.
        try await takeAll()
        if configuration.kind == .stream { try await takeOrphans() }
    }

    /// Takes all requests that are in the list or stream.
    private func takeAll() async throws {
        while true {
            let limits = [RedisScript.chunk, Self.chunkBytes, RequestElement.largest].map { argument($0) }
            let isList = configuration.kind == .list
            let reply = try await run(
                isList ? .peekList : .peekStream,
                limits + (isList ? [] : [Array(Self.group.utf8)])
            )
            let before = reply.array.first?.bytes ?? []
            let values = Array(reply.array.dropFirst())
            if !isList { lastEntry = values.last?.array.first?.text ?? String(decoding: before, as: UTF8.self) }
            // Another process may take them at the same time.
            let taken = try await take(values, after: before)
            if values.isEmpty, taken != -1 { return }
        }
    }

    /// Takes what other consumers of the group have held for too long.
    private func takeOrphans() async throws {
        let idle = argument(configuration.idleTime.components.seconds * 1000)
        while true {
            let limits = [RedisScript.chunk, Self.chunkBytes, RequestElement.largest].map { argument($0) }
            let orphans = try await run(.orphans, limits + [Array(Self.group.utf8), idle]).array
            if orphans.isEmpty { return }
            if try await take(orphans, after: [], idle: idle) == 0 { return }
        }
    }

    /// Takes values that were read; returns their number, or -1 if another process has taken them.
    private func take(_ values: [RedisValue], after before: [UInt8]?, idle: [UInt8] = []) async throws -> Int {
        var arguments = [argument(now.milliseconds), before ?? Array("0".utf8), argument(configuration.window)]
        let isList = configuration.kind == .list
        if !isList { arguments += [Array(Self.group.utf8), idle] }
        for value in values {
            let element = isList ? RequestElement(element: value) : RequestElement(entry: value)
            arguments.append(Array(RequestLane(of: element.request, key: key).text.utf8))
            arguments.append(Array(element.id.utf8))
            arguments.append(element.digest)
            arguments.append(argument(element.problem == nil ? element.request.bytes.count : element.size))
            arguments.append(isList ? argument(element.size) : value.array.first?.bytes ?? [])
        }
        return try await run(isList ? .takeFromList : .takeFromStream, arguments).integer ?? 0
    }

    /// Waits for new requests and takes them; returns false at the end.
    private func listen() async -> Bool {
        if Task.isCancelled { return false }
        guard leads else {
            try? await Task.sleep(for: .milliseconds(200))
            return !Task.isCancelled
        }
        do {
            let reply =
                switch configuration.kind {
                // Moves the last element to its own place, as soon as there is one.
                case .list: try await listener.send("BLMOVE", source, source, "RIGHT", "RIGHT", "1")
                case .stream:
                    try await listener.send("XREAD", "COUNT", "1", "BLOCK", "1000", "STREAMS", source, lastEntry)
                }
            if reply == .null { return !Task.isCancelled }
            try await takeAll()
            changed.notify()
        } catch {
            try? await Task.sleep(for: .seconds(1))
        }
        return !Task.isCancelled
    }

    /// Returns how many requests wait for a batch.
    public func waiting() async throws -> WaitingRequests {
        try await update()
        let values = try await run(.waiting).array.map(\.integer)
        guard values.count == 3, let count = values[0], let bytes = values[1] else { return WaitingRequests() }
        // The time of requests that came before the first look is not known.
        let oldest = values[2].flatMap { $0 == 0 ? nil : Timestamp(milliseconds: Int64($0)) }
        return WaitingRequests(count: count, bytes: bytes, oldest: oldest)
    }

    /// Makes all requests due that wait now.
    public func flush() async throws {
        try await update()
        _ = try await run(.flush)
    }

    // MARK: Deciding

    /// Decides which requests form the next batch, or returns an earlier group that is not finished.
    public func claim(_ rules: DispatchRules, at now: Timestamp) async throws -> RequestGroup? {
        if !leads { try await lead() }
        var generator = SystemRandomNumberGenerator()
        let due = (now + (.zero - rules.timeThreshold)).milliseconds
        let reply = try await run(
            .claim,
            [
                Array(token.utf8), lockTime, argument(rules.queueThreshold), argument(rules.maxBytes), argument(due),
                Array(Name.newBatch(at: now, using: &generator).text.utf8), rules.arguments.bytes,
            ]
        )
        if reply.integer == -1 {
            leads = false
            throw busy
        }
        return try group(reply)
    }

    private func group(_ reply: RedisValue) throws -> RequestGroup? {
        let parts = reply.array
        guard !parts.isEmpty else { return nil }
        guard parts.count == 4, let batch = parts[0].text.flatMap({ Name($0) }), let lane = parts[1].text,
            let count = parts[2].integer, let arguments = try? JSON.parse(parts[3].bytes ?? [])
        else {
            throw RequestQueueError(.refused, "the group of '\(name)' in Redis at \(redis.url) cannot be read")
        }
        return RequestGroup(batch: batch, key: RequestLane(text: lane).value, count: count, arguments: arguments)
    }

    private var busy: RequestQueueError {
        RequestQueueError(.busy, "another process decides about the requests of '\(name)'")
    }

    private var lockTime: [UInt8] { argument(milliseconds(configuration.lockTime)) }

    /// Takes the lock of the process that decides, and keeps it.
    private func lead() async throws {
        guard try await run(.lead, [Array(token.utf8), lockTime]).integer == 1 else { throw busy }
        leads = true
        renewing?.cancel()
        renewing = Task { [weak self, interval = configuration.lockTime / 3] in
            while true {
                do { try await Task.sleep(for: interval) } catch { return }
                guard await self?.renew() ?? false else { return }
            }
        }
        try await update()
    }

    private func renew() async -> Bool {
        guard leads else { return false }
        // Without an answer, the next claim shows whether the lock is held.
        guard let reply = try? await run(.lead, [Array(token.utf8), lockTime], for: .zero) else { return leads }
        if reply.integer == 0 { leads = false }
        return leads
    }

    /// Reads the requests of a group from a position on.
    public func requests(
        of group: RequestGroup,
        from position: Int
    ) async throws -> AsyncThrowingStream<[SourceItem], any Error> {
        let state = try await redis.send("HMGET", prefix + "state", "batch", "group_key").array
        guard state.first?.text == group.batch.text, let text = state.last?.text else {
            throw RequestQueueError.notClaimed(group.batch, name)
        }
        let lane = RequestLane(text: text)
        let reader = RequestReader(next: position)
        return AsyncThrowingStream { [self] in
            let next = await reader.next
            let items = try await items(of: group, lane, from: next)
            await reader.pass(items.count)
            return items.isEmpty ? nil : items
        }
    }

    private func items(of group: RequestGroup, _ lane: RequestLane, from next: Int) async throws -> [SourceItem] {
        guard next < group.count else { return [] }
        let count = min(RedisScript.chunk, group.count - next)
        let isList = configuration.kind == .list
        let result = try await run(
            isList ? .readList : .readStream,
            [
                Array(lane.text.utf8), argument(next), argument(count), argument(Self.chunkBytes),
                argument(RequestElement.largest), Array(group.batch.text.utf8),
            ]
        )
        // Another process has finished the group meanwhile.
        if result.integer == -1 { throw RequestQueueError.notClaimed(group.batch, name) }
        let reply = result.array
        guard !reply.isEmpty else {
            throw RequestQueueError(
                .refused,
                "requests of '\(name)' are missing in Redis at \(redis.url): it has \(next) of \(group.count) of batch "
                    + "'\(group.batch)'"
            )
        }
        return stride(from: 0, to: reply.count - 1, by: 2).map { offset in
            let element =
                isList ? RequestElement(element: reply[offset]) : RequestElement(entry: reply[offset])
            let flag = reply[offset + 1].text?.split(separator: " ", maxSplits: 3).dropFirst(2).first
            return element.item(index: next + offset / 2, of: group, key: lane.key, isConflict: flag == "1")
        }
    }

    /// Removes the requests of a group whose batch is confirmed.
    public func finish(_ group: RequestGroup) async throws {
        let kind = argument(configuration.kind == .stream ? 1 : 0)
        _ = try await run(.finish, [Array(group.batch.text.utf8), kind, Array(Self.group.utf8)])
    }
}

/// The position of a reader of a group.
private actor RequestReader {
    private(set) var next: Int

    init(next: Int) { self.next = next }

    func pass(_ count: Int) { next += count }
}

func argument(_ value: some BinaryInteger) -> [UInt8] { Array(String(value).utf8) }

func milliseconds(_ duration: Duration) -> Int64 {
    duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
}

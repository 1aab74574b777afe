import SheafBatches
public import SheafCore
public import SheafSources

/// A request queue in the memory of this process: its requests end with the process.
public actor MemoryRequestQueue: SearchableRequestQueue {
    private struct Waiting {
        let request: Record
        let time: Timestamp
        let key: String?
        let isConflict: Bool
        var isFlushed = false
    }

    private struct Claimed {
        let group: RequestGroup
        let requests: [Waiting]
    }

    /// The name of the dispatcher whose requests these are.
    public nonisolated let name: Name
    private let key: RequestKey?
    private let maxWaiting: Int?
    private let clock: @Sendable () -> Timestamp
    private var queue: [Waiting] = []
    private var claimed: [Claimed] = []
    private var window = RepeatWindow()
    private let changed = Changes()

    /// Creates an empty queue.
    ///
    /// - Parameters:
    ///   - name: The name of the dispatcher.
    ///   - key: The field of requests that keeps them apart, or nil.
    ///   - maxWaiting: How many requests may wait; nil means any number.
    public init(name: Name, key: String? = nil, maxWaiting: Int? = nil) {
        self.init(name: name, key: key, maxWaiting: maxWaiting, clock: { .now })
    }

    /// Creates an empty queue with a clock of its own.
    package init(name: Name, key: String?, maxWaiting: Int?, clock: @escaping @Sendable () -> Timestamp) {
        self.name = name
        self.key = key.map { RequestKey($0) }
        self.maxWaiting = maxWaiting
        self.clock = clock
    }

    /// Adds requests in order, and returns once all of them are stored.
    public func add(_ requests: [Record]) throws {
        for request in requests { try RequestID.check(request) }
        if let maxWaiting, queue.count + requests.count > maxWaiting {
            throw RequestQueueError.full(name, waiting: queue.count, adding: requests.count, limit: maxWaiting)
        }
        let now = clock()
        for request in requests {
            let finding = window.note(request)
            if finding == .same { continue }
            let value = key.flatMap { try? $0.value(of: request).get() }
            queue.append(Waiting(request: request, time: now, key: value, isConflict: finding == .other))
        }
        changed.notify()
    }

    /// Returns how many requests wait for a batch.
    public func waiting() -> WaitingRequests {
        WaitingRequests(
            count: queue.count,
            bytes: queue.reduce(0) { $0 + $1.request.bytes.count },
            oldest: queue.map(\.time).min()
        )
    }

    /// Makes all requests due that wait now.
    public func flush() {
        for index in queue.indices { queue[index].isFlushed = true }
        changed.notify()
    }

    /// Returns once all requests whose addition has returned before the call are known.
    public func update() {}

    /// Decides which requests form the next batch, or returns an earlier group that is not finished.
    public func claim(_ rules: DispatchRules, at now: Timestamp) -> RequestGroup? {
        if let first = claimed.first { return first.group }
        guard let (key, count) = due(rules, now) else { return nil }
        var generator = SystemRandomNumberGenerator()
        let group = RequestGroup(
            batch: Name.newBatch(at: now, using: &generator),
            key: key,
            count: count,
            arguments: rules.arguments
        )
        var taken: [Waiting] = []
        queue.removeAll { waiting in
            guard waiting.key == key, taken.count < count else { return false }
            taken.append(waiting)
            return true
        }
        claimed.append(Claimed(group: group, requests: taken))
        return group
    }

    /// Returns a key with a group that is due, and the number of its requests.
    private func due(_ rules: DispatchRules, _ now: Timestamp) -> (key: String?, count: Int)? {
        struct Group {
            var count = 0
            var bytes = 0
            var isDue = false
            var isClosed = false
        }
        var groups: [String?: Group] = [:]
        for waiting in queue {
            var group = groups[waiting.key] ?? Group()
            defer { groups[waiting.key] = group }
            if group.isClosed { continue }
            let size = waiting.request.bytes.count
            if group.count > 0, group.bytes + size > rules.maxBytes {
                group.isClosed = true
                return (waiting.key, group.count)
            }
            group.count += 1
            group.bytes += size
            if waiting.isFlushed || waiting.time <= now + (.zero - rules.timeThreshold) { group.isDue = true }
            if group.count >= rules.queueThreshold || group.bytes >= rules.maxBytes {
                return (waiting.key, group.count)
            }
        }
        return groups.first { $0.value.isDue }.map { ($0.key, $0.value.count) }
    }

    /// Reads the requests of a group from a position on.
    public func requests(
        of group: RequestGroup,
        from position: Int
    ) throws -> AsyncThrowingStream<[SourceItem], any Error> {
        guard let requests = claimed.first(where: { $0.group.batch == group.batch })?.requests else {
            throw RequestQueueError.notClaimed(group.batch, name)
        }
        let key = key
        let items = requests.enumerated().dropFirst(position).map { index, waiting in
            waiting.isConflict ? waiting.request.conflict(index: index) : waiting.request.item(index: index, key: key)
        }
        return AsyncThrowingStream { continuation in
            if !items.isEmpty { continuation.yield(items) }
            continuation.finish()
        }
    }

    /// Removes the requests of a group whose batch is confirmed.
    public func finish(_ group: RequestGroup) {
        claimed.removeAll { $0.group.batch == group.batch }
        changed.notify()
    }

    /// A stream with an element at first, and whenever there may be a new group.
    public func changes() -> AsyncStream<Void> { changed.stream() }

    /// Ends the use of the queue by this process.
    public func close() { changed.finish() }

    // MARK: Searching

    /// Compares requests with the newest ones.
    public func repeats(of requests: [Record]) -> [RequestRepeat] { requests.map { window.finding(for: $0) } }

    /// Returns where a request is, or nil if the batch of the request is confirmed, or there is none.
    public func place(of id: String, deeply: Bool) -> RequestPlace? {
        if window[id] == nil, !deeply { return nil }
        if queue.contains(where: { $0.request.id == id }) { return .waiting }
        let group = claimed.first { $0.requests.contains { $0.request.id == id } }?.group
        return group.map { .batch($0.batch) }
    }

    /// A stream with an element at first, and whenever requests were put into a batch.
    public func placements() -> AsyncStream<Void> { changed.stream() }
}

import SheafBroker

/// A subscription that takes messages from the file on demand.
actor SQLiteConsumer: QueueConsumer {
    private let queue: Int64
    private let name: String
    private let prefetch: Int
    private let holder: LeaseHolder
    private let writer: Writer
    private let watcher: Watcher
    private let session: Session
    /// The number of unsettled deliveries, including those in the buffer.
    private var unsettled = 0
    /// Deliveries taken for a call of `next()` that was then cancelled.
    private var buffer: [Delivery] = []
    private var isTaking = false
    private var isWaiting = false
    private var isCancelled = false
    private var cancellation: [CheckedContinuation<Void, Never>] = []

    init(
        queue: Int64,
        name: String,
        prefetch: Int,
        holder: LeaseHolder,
        writer: Writer,
        watcher: Watcher,
        session: Session
    ) {
        self.queue = queue
        self.name = name
        self.prefetch = prefetch
        self.holder = holder
        self.writer = writer
        self.watcher = watcher
        self.session = session
    }

    func next() async throws -> [Delivery]? {
        while true {
            if isCancelled { return nil }
            try Task.checkCancellation()
            if buffer.isEmpty, unsettled < prefetch { try await take() }
            if isCancelled { return nil }
            try Task.checkCancellation()
            if !buffer.isEmpty {
                defer { buffer = [] }
                return buffer
            }
            let condition: WakeCondition = unsettled < prefetch ? .message(queue: queue) : .end(queue: queue)
            isWaiting = true
            defer { isWaiting = false }
            try await watcher.wait(for: condition, as: UInt64(holder.consumer))
            // A full consumer takes no messages, so it must check for itself whether the queue still exists.
            if unsettled >= prefetch { try await checkQueue() }
        }
    }

    func cancel() async throws -> [Delivery] {
        guard !isCancelled else { return [] }
        isCancelled = true
        await watcher.wake(UInt64(holder.consumer))
        // Deliveries that a call of `next()` is taking must be in the buffer first.
        if isTaking { await withCheckedContinuation { cancellation.append($0) } }
        await watcher.forget(UInt64(holder.consumer))
        let holder = holder
        try await writer.perform { try $0.removeConsumer(holder) }
        await session.remove(consumer: holder.consumer)
        defer { buffer = [] }
        return buffer
    }

    /// Records that `count` deliveries were settled, and wakes a consumer that was full.
    func settled(_ count: Int) async {
        let wasFull = unsettled >= prefetch
        unsettled -= count
        if wasFull, isWaiting { await watcher.wake(UInt64(holder.consumer)) }
    }

    /// Takes messages from the file into the buffer; completes even if the task is cancelled.
    private func take() async throws {
        isTaking = true
        defer {
            isTaking = false
            for continuation in cancellation { continuation.resume() }
            cancellation = []
        }
        let (queue, holder, room) = (queue, holder, prefetch - unsettled)
        let taken = try await writer.perform(rows: min(room, 500)) { try $0.lease(queue, atMost: room, to: holder) }
        guard let taken else { throw gone }
        unsettled += taken.count
        buffer += taken
    }

    private func checkQueue() async throws {
        let queue = queue
        let exists = try await writer.perform { try QueueRow.numbered(queue, in: $0) != nil }
        guard exists else { throw gone }
    }

    private var gone: BrokerError { BrokerError(.queueGone, "queue \(name) was deleted") }
}

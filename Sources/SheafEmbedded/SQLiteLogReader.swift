import SheafBroker

/// A reader at a position in a log.
actor SQLiteLogReader: LogReader {
    private let log: Int64
    private let name: String
    private var offset: Int64
    private let number: Int64
    private let reader: Reader
    private let watcher: Watcher
    private var isCancelled = false
    /// Whether to return the first chunk at once, even an empty one, since it tells the caller where reading begins.
    private var reportsStart: Bool

    init(
        log: Int64,
        name: String,
        offset: Int64,
        reportsStart: Bool,
        number: Int64,
        reader: Reader,
        watcher: Watcher
    ) {
        self.log = log
        self.name = name
        self.offset = offset
        self.reportsStart = reportsStart
        self.number = number
        self.reader = reader
        self.watcher = watcher
    }

    func next() async throws -> LogChunk? {
        while !isCancelled {
            try Task.checkCancellation()
            let (log, offset) = (log, offset)
            guard let chunk = try await reader.read({ try $0.entries(of: log, from: offset) }) else {
                throw BrokerError(.queueGone, "log \(name) was deleted")
            }
            if chunk.nextOffset > offset || reportsStart {
                reportsStart = false
                self.offset = chunk.nextOffset
                return chunk
            }
            try await watcher.wait(for: .entry(log: log, offset: offset), as: UInt64(number))
        }
        return nil
    }

    func cancel() async {
        guard !isCancelled else { return }
        isCancelled = true
        await watcher.wake(UInt64(number))
    }
}

import SheafBroker

/// A position in a log of the file.
actor SQLiteLogReader: LogReader {
    private let log: Int64
    private let name: String
    private var offset: Int64
    private let number: Int64
    private let reader: Reader
    private let watcher: Watcher
    private var isCancelled = false
    /// Whether the first chunk is to come at once, though it be empty, because the caller can not know where reading begins.
    private var saysWhere: Bool

    init(
        log: Int64,
        name: String,
        offset: Int64,
        saysWhere: Bool,
        number: Int64,
        reader: Reader,
        watcher: Watcher
    ) {
        self.log = log
        self.name = name
        self.offset = offset
        self.saysWhere = saysWhere
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
            if chunk.nextOffset > offset || saysWhere {
                saysWhere = false
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

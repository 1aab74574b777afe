import SheafBatches
import SheafBroker
import SheafCore

/// Reads requests of the numbered logs from one position to another; continues after a lost connection.
actor RequestCursor {
    private let broker: any Broker
    private let name: @Sendable (Int) -> String
    private var next: RequestPosition
    private let end: RequestPosition
    private var reader: (any LogReader)?
    private var backoff = Backoff()

    /// - Parameter name: Returns the name of a log by its number.
    init(
        broker: any Broker,
        from start: RequestPosition,
        to end: RequestPosition,
        name: @escaping @Sendable (Int) -> String
    ) {
        self.broker = broker
        self.name = name
        self.next = start
        self.end = end
    }

    /// Returns some requests with their positions, or nil at the end; throws `BrokerError`.
    func read() async throws -> [(position: RequestPosition, request: Record)]? {
        while next < end {
            do {
                let found = try await readChunk()
                backoff.reset()
                if !found.isEmpty { return found }
            } catch let error as BrokerError where error.isRetryable {
                await close()
                var pause = backoff
                try await pause.pause()
                backoff = pause
            }
        }
        await close()
        return nil
    }

    /// Ends the reading.
    func close() async {
        await reader?.cancel()
        reader = nil
    }

    private func readChunk() async throws -> [(position: RequestPosition, request: Record)] {
        let log = next.log
        if reader == nil { reader = try await broker.read(name(log), from: .offset(next.offset)) }
        guard let chunk = try await reader?.next() else { throw CancellationError() }
        var found: [(RequestPosition, Record)] = []
        for entry in chunk.entries where entry.offset >= next.offset {
            let position = RequestPosition(log: log, offset: entry.offset)
            if position >= end { break }
            if entry.message.type == RequestMessage.endType {
                await close()
                next = RequestPosition(log: log + 1, offset: 0)
                return found
            }
            found.append((position, RequestMessage.decode(entry, log: log)))
        }
        next.offset = max(next.offset, chunk.nextOffset)
        return found
    }
}

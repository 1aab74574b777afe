package import SheafBroker

extension Broker {
    /// Hands the entries of a log before an offset to the body, and throws whatever the body throws.
    ///
    /// Following a log goes on by itself after an error that passes; one of the body's own must not be taken for that: it
    /// would be handed the same chunk again and again.
    package func entries(
        of log: String,
        from start: LogPosition,
        upTo end: Int64,
        _ body: (LogEntry) async throws -> Void
    ) async throws {
        if end == 0 { return }
        if case .offset(let offset) = start, offset >= end { return }
        var failure: (any Error)?
        try await follow(log, from: start) { chunk in
            do {
                for entry in chunk.entries where entry.offset < end { try await body(entry) }
            } catch {
                failure = error
                return false
            }
            return chunk.nextOffset < end
        }
        if let failure { throw failure }
    }
}

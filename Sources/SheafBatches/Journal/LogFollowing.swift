package import SheafBroker

extension Broker {
    /// Hands every chunk of a log from a position on to the body, for ever; goes on by itself after a lost connection.
    ///
    /// The body may get a chunk again that it has thrown at. Ends when the body returns false; throws what does not pass by
    /// itself, such as `notFound`.
    package func follow(
        _ log: String,
        from start: LogPosition,
        _ body: (LogChunk) async throws -> Bool
    ) async throws {
        var position = start
        var backoff = Backoff()
        while true {
            do {
                let reader = try await read(log, from: position)
                do {
                    while let chunk = try await reader.next() {
                        let goesOn = try await body(chunk)
                        // Not before: what the body could not do for a lost connection is done again with the same chunk.
                        position = .offset(chunk.nextOffset)
                        backoff.reset()
                        guard goesOn else {
                            await reader.cancel()
                            return
                        }
                    }
                    return
                } catch {
                    await reader.cancel()
                    throw error
                }
            } catch let error as BrokerError where error.isRetryable {
                try await backoff.pause()
            }
        }
    }

    /// Hands every entry that is in a log now to the body, from a position on.
    package func replay(_ log: String, from start: LogPosition, _ body: (LogChunk) async throws -> Void) async throws {
        try await replay(log, from: start, to: presentEnd(of: log), body)
    }

    /// Where a log ends now; throws `notFound` where there is none.
    package func presentEnd(of log: String) async throws -> Int64 {
        guard let end = try await endOffset(of: log) else {
            throw BrokerError(.notFound, "there is no log '\(log)'")
        }
        return end
    }

    /// Hands every entry of a log to the body from a position on, to where it ended when somebody looked.
    package func replay(
        _ log: String,
        from start: LogPosition,
        to end: Int64,
        _ body: (LogChunk) async throws -> Void
    ) async throws {
        if case .offset(let offset) = start, offset >= end { return }
        if end == 0 { return }
        try await follow(log, from: start) { chunk in
            try await body(chunk)
            return chunk.nextOffset < end
        }
    }
}

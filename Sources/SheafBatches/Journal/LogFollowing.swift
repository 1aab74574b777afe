package import SheafBroker

extension Broker {
    /// Passes every chunk of a log from a position on to the body, indefinitely; reconnects after a lost connection.
    ///
    /// If the body throws a retryable error, it gets the same chunk again. Ends when the body returns false; throws
    /// errors that are not retryable, such as `notFound`.
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
                        // Not earlier: if the body fails because of a lost connection, it gets the same chunk again.
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

    /// Passes the present entries of a log from a position on to the body, in chunks.
    package func replay(_ log: String, from start: LogPosition, _ body: (LogChunk) async throws -> Void) async throws {
        try await replay(log, from: start, to: presentEnd(of: log), body)
    }

    /// The present end of a log; throws `notFound` if the log does not exist.
    package func presentEnd(of log: String) async throws -> Int64 {
        guard let end = try await endOffset(of: log) else {
            throw BrokerError(.notFound, "log '\(log)' does not exist")
        }
        return end
    }

    /// Passes the entries of a log from a position to an earlier read end to the body, in chunks.
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

extension Broker {
    /// Passes the entries of a log before an offset to the body, and rethrows every error of the body.
    ///
    /// ``follow(_:from:_:)`` retries after a retryable error. An error of the body must not be retried here, or the
    /// body would get the same chunk again and again.
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

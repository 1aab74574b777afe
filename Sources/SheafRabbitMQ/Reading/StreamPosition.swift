import AMQPClient

/// Where a stream's consumer begins.
enum StreamPosition {
    case first
    case offset(Int64)
    /// The chunk written last.
    case last
    case next
    /// The chunk written at that second.
    case timestamp(UInt64)

    /// The value of the argument `x-stream-offset`.
    var argument: AMQPValue {
        switch self {
        case .first: "first"
        case .offset(let offset): .int64(offset)
        case .last: "last"
        case .next: "next"
        case .timestamp(let seconds): .timestamp(seconds)
        }
    }
}

extension ConnectionSlot {
    /// Starts to read a stream, on a channel that ends with the reading.
    func readStream(_ log: String, from position: StreamPosition, prefetch: UInt16) async throws -> AMQPConsumer {
        let patience = ContinuousClock.now + .seconds(5)
        while true {
            let channel = try await openChannel()
            do {
                try await channel.setPrefetch(prefetch)
                return try await channel.consume(log, arguments: ["x-stream-offset": position.argument])
            } catch {
                if !error.isConnectionGone { await channel.abandon() }
                guard error.isNotYetUp, ContinuousClock.now < patience else { throw error }
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }
}

extension AMQPDelivery {
    /// The offset of an entry of a stream.
    var streamOffset: Int64? { headers["x-stream-offset"]?.integer }
}

import SheafBatches
import SheafBroker
public import SheafCore

extension BrokerRequestQueue {
    /// How many requests one append has.
    private static let window = 500

    /// Adds requests in order, and returns once all of them are stored.
    public func add(_ requests: [Record]) async throws {
        for request in requests { try RequestID.check(request) }
        if requests.isEmpty { return }
        if let limit = configuration.maxWaiting {
            try await update()
            let count = scan?.waitingCount ?? 0
            if count + requests.count > limit {
                throw RequestQueueError.full(name, waiting: count, adding: requests.count, limit: limit)
            }
        }
        var rest = requests
        while !rest.isEmpty {
            if state.current == 0 { try await open(1) }
            let log = state.current
            try await append(rest, to: log)
            // If the log accepted requests after they were stored, it has not ended before them.
            try await readDecisions()
            if state.current == log { return }
            rest = try await missing(rest, in: log)
        }
    }

    private func append(_ requests: [Record], to log: Int) async throws {
        let now = configuration.clock()
        for start in stride(from: 0, to: requests.count, by: Self.window) {
            let messages = requests[start..<min(start + Self.window, requests.count)].map {
                RequestMessage.encode($0, at: now)
            }
            do {
                try await retrying(for: .seconds(60)) {
                    try await client.broker.append(messages, to: self.requests(log))
                }
            } catch let error as BrokerError where error.code == .notFound {
                try await readDecisions()
                if state.current == log { throw error }
                return  // the log has ended and was deleted
            }
        }
    }

    /// Returns the requests that a log which has ended does not have before its end.
    private func missing(_ requests: [Record], in log: Int) async throws -> [Record] {
        try await end(log)  // the process that ended it may not have come so far
        var wanted = Set(requests.map(\.id))
        let broker = client.broker
        do {
            try await broker.follow(self.requests(log), from: .first) { chunk in
                for entry in chunk.entries {
                    if entry.message.type == RequestMessage.endType { return false }
                    wanted.remove(entry.message.id)
                }
                return !wanted.isEmpty
            }
        } catch let error as BrokerError where [.notFound, .queueGone].contains(error.code) {
            // The log is deleted. What it had is in batches, and what is added again may be there twice.
        }
        return requests.filter { wanted.contains($0.id) }
    }
}

import OrderedCollections
import SheafBatches
import SheafBroker
import SheafCore

// Beginning, ending and deleting the numbered logs.
extension BrokerRequestQueue {
    func rollIfFull() async throws {
        guard let size = scan?.sizes[state.current], scan?.next.log == state.current else { return }
        if size.count >= configuration.logCount || size.bytes >= configuration.logBytes { try await roll() }
    }

    /// Opens the next log, and ends the present one.
    func roll() async throws {
        let log = state.current
        try await open(log + 1)
        try await end(log)
    }

    /// Declares a log and makes it the one that accepts requests.
    func open(_ log: Int) async throws {
        try await retrying(for: .seconds(15)) {
            try await client.broker.declareLog(LogDeclaration(name: requests(log)))
        }
        try await decide(.opened(log: log, key: configuration.key))
    }

    /// Appends the entry after which a log has no more requests; the first of several counts.
    func end(_ log: Int) async throws {
        do {
            try await retrying(for: .seconds(60)) {
                try await client.broker.append(RequestMessage.end, to: requests(log))
            }
        } catch let error as BrokerError where error.code == .notFound {
            return  // the log was deleted, so it had ended before
        }
    }

    /// Deletes the logs that are not needed: their requests are in batches that have ended, and there are enough later
    /// ones to recognize repeats of those that wait.
    func deleteOldLogs() async throws {
        guard let scan, let last = deletable(scan) else { return }
        if let checked = deletionChecked, ContinuousClock.now - checked < configuration.deletionInterval { return }
        deletionChecked = .now
        let journal = try await Journal.read(from: client)
        let open = state.finished.filter { !journal.isOver($0.batch) }.map(\.start.log).min() ?? .max
        let limit = min(last, open - 1)
        guard limit >= state.oldest else { return }
        let old = state.oldest...limit
        try await decide(.deleted(log: limit))
        for log in old { try await client.broker.deleteLog(requests(log)) }
    }

    private func deletable(_ scan: RequestScan) -> Int? {
        var done = state.oldest - 1
        let unfinished = state.unfinished.values.map(\.start.log).min() ?? .max
        while done + 1 < min(state.current, unfinished), !scan.waits(upTo: done + 1) { done += 1 }
        var kept = 0
        while done >= state.oldest {
            kept += scan.sizes[done]?.count ?? 0
            done -= 1
            if kept >= configuration.window { return done >= state.oldest ? done : nil }
        }
        return nil
    }
}

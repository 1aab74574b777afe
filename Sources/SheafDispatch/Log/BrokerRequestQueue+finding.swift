import OrderedCollections
import SheafBatches
import SheafBroker
package import SheafCore

/// What became of a request.
package enum RequestAnswer: Sendable {
    /// It waits for a batch.
    case waiting
    /// It is in a batch, and its task has no outcome yet.
    case dispatched(batch: Name)
    /// Its task has an outcome.
    case ended(batch: Name, Outcome)
}

extension BrokerRequestQueue {
    /// How many of the newest batches are searched for a request that is in no log anymore.
    package static let searchedBatches = 100

    /// Finds a request by its id; returns nil if it is in no log of requests and in none of the newest batches.
    ///
    /// Reads the logs of requests, and then the results of at most ``searchedBatches`` batches, the newest first.
    package func find(_ id: String) async throws -> RequestAnswer? {
        try await readDecisions()
        if let position = try await position(of: id) {
            guard let batch = try await batch(of: position) else { return .waiting }
            return try await outcome(of: id, in: batch).map { .ended(batch: batch, $0) } ?? .dispatched(batch: batch)
        }
        for cut in state.finished.reversed().prefix(Self.searchedBatches) {
            if let outcome = try await outcome(of: id, in: cut.batch) { return .ended(batch: cut.batch, outcome) }
        }
        return nil
    }

    /// Finds the first request with an id in the logs, and its key.
    private func position(of id: String) async throws -> (position: RequestPosition, key: String?)? {
        guard state.current > 0 else { return nil }
        for log in state.oldest...state.current {
            let key = state.key(of: log)
            var found: (RequestPosition, String?)?
            do {
                let end = try await client.broker.presentEnd(of: requests(log))
                try await client.broker.replay(requests(log), from: .first, to: end) { chunk in
                    guard found == nil else { return }
                    for entry in chunk.entries {
                        if entry.message.type == RequestMessage.endType { return }
                        let request = RequestMessage.decode(entry, log: log)
                        guard request.id == id else { continue }
                        let value = key.flatMap { try? $0.value(of: request).get() }
                        found = (RequestPosition(log: log, offset: entry.offset), value)
                        return
                    }
                }
            } catch let error as BrokerError where [.notFound, .queueGone].contains(error.code) {
                continue  // deleted in the meantime
            }
            if let found { return found }
        }
        return nil
    }

    private func batch(of place: (position: RequestPosition, key: String?)) async throws -> Name? {
        try await readDecisions()
        return (Array(state.unfinished.values) + state.finished).first { cut in
            cut.key == place.key && cut.start <= place.position && place.position < cut.end
        }?.batch
    }

    private func outcome(of id: String, in batch: Name) async throws -> Outcome? {
        do {
            for try await outcomes in try await client.results(of: batch.text) {
                if let outcome = outcomes.first(where: { $0.recordID == id }) { return outcome }
            }
        } catch let error as SheafError where error.code == .notFound {
            // The batch is deleted, or not created yet.
        }
        return nil
    }
}

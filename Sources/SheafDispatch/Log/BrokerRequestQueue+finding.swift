import SheafBatches
import SheafBroker
public import SheafCore

// What this process knows of the requests in the logs. It reads them once, and then follows them.
extension BrokerRequestQueue {
    /// Compares requests with the newest ones in the logs.
    public func repeats(of requests: [Record]) async throws -> [RequestRepeat] {
        try await updateTogether()
        return requests.map { scan?.window.finding(for: $0) ?? .new }
    }

    /// Returns where a request is, or nil if it is in no log.
    public func place(of id: String, deeply: Bool) async throws -> RequestPlace? {
        if let entry = scan?.window[id] { return state.place(of: entry.position, key: entry.key) }
        try await updateTogether()
        if let entry = scan?.window[id] { return state.place(of: entry.position, key: entry.key) }
        guard deeply, scan?.window.isFull == true, let (position, key) = try await position(of: id) else { return nil }
        return state.place(of: position, key: key)
    }

    /// A stream with an element at first, and whenever requests were put into a batch.
    public func placements() -> AsyncStream<Void> { placed.stream() }

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

    /// Does what ``update()`` does; calls that come while one waits for the broker share the next one.
    private func updateTogether() async throws {
        let task =
            updates.next
            ?? Task { [previous = updates.present] in
                _ = await previous?.result
                updates.present = updates.next
                updates.next = nil
                try await update()
            }
        updates.next = task
        try await task.value
    }
}

/// The update that runs, and the one that runs after it.
struct SharedUpdates {
    var present: Task<Void, any Error>?
    var next: Task<Void, any Error>?
}

import SheafBatches
package import SheafCore
package import SheafDispatch

/// A dispatcher to which the server adds requests.
package struct ServedDispatcher: Sendable {
    /// The name.
    package var name: Name
    /// The flow of its batches.
    package var flow: Name
    /// How often it looks whether a batch is due, which is when a full queue may have space again.
    package var interval: Duration
    /// Opens its queue.
    package var open: @Sendable () async throws -> any RequestQueue

    /// Describes a dispatcher.
    package init(
        name: Name,
        flow: Name,
        interval: Duration,
        open: @escaping @Sendable () async throws -> any RequestQueue
    ) {
        self.name = name
        self.flow = flow
        self.interval = interval
        self.open = open
    }
}

/// The request queues of the server's dispatchers, opened at first use and kept open.
actor RequestDesk {
    /// An open queue.
    struct Counter: Sendable {
        let queue: any RequestQueue
        let collector: RequestCollector
        let answers: RequestAnswers
    }

    nonisolated let dispatchers: [ServedDispatcher]
    private let client: SheafClient
    private var counters: [Name: Task<Counter, any Error>] = [:]

    init(_ dispatchers: [ServedDispatcher], client: SheafClient) {
        self.dispatchers = dispatchers
        self.client = client
    }

    /// The open queue of a dispatcher; if it cannot be opened, the next call tries again.
    func counter(of dispatcher: ServedDispatcher) async throws -> Counter {
        if let known = counters[dispatcher.name] { return try await known.value }
        let task = Task { [client] in
            let queue = try await dispatcher.open()
            return Counter(
                queue: queue,
                collector: RequestCollector(queue: queue),
                answers: RequestAnswers(client: client, queue: queue)
            )
        }
        counters[dispatcher.name] = task
        do {
            return try await task.value
        } catch {
            if counters[dispatcher.name] == task { counters[dispatcher.name] = nil }
            throw error
        }
    }

    /// Closes the queues, when no request is running anymore.
    func close() async {
        for task in counters.values {
            task.cancel()  // one that is still connecting
            guard let counter = try? await task.value else { continue }
            await counter.answers.close()
            await counter.queue.close()
        }
        counters = [:]
    }
}

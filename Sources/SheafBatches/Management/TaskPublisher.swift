import SheafBroker
import SheafCore

/// Publishes tasks to a queue in windows, a few of which are on their way at a time, so that memory does not grow with them.
actor TaskPublisher {
    private let client: SheafClient
    private let queue: String
    private var window: [Message] = []
    private var bytes = 0
    private var onTheWay: [Task<Void, any Error>] = []
    private var indices: [Int] = []

    private static let windowCount = 500
    private static let windowBytes = 4 << 20
    private static let windowsOnTheWay = 4
    /// How long a confirmation may take before publishing is given up.
    private static let patience = Duration.seconds(60)

    init(client: SheafClient, queue: String) {
        self.client = client
        self.queue = queue
    }

    /// How many tasks it was given.
    var count: Int { indices.count }

    /// Takes a task; waits where much is on its way.
    func add(_ task: BatchTask) async throws {
        try Task.checkCancellation()
        indices.append(task.index)
        let message = task.message
        window.append(message)
        bytes += message.body.count
        if window.count >= Self.windowCount || bytes >= Self.windowBytes { try await send() }
    }

    /// Returns when everything is confirmed: which tasks that are.
    func finish() async throws -> IndexRanges {
        try await send()
        while !onTheWay.isEmpty { try await onTheWay.removeFirst().value }
        return IndexRanges(rising: indices.sorted())
    }

    /// Sends nothing more, and returns when nothing is on its way.
    func abandon() async {
        for task in onTheWay { task.cancel() }
        for task in onTheWay { _ = await task.result }
        onTheWay = []
    }

    private func send() async throws {
        if window.isEmpty { return }
        if onTheWay.count >= Self.windowsOnTheWay { try await onTheWay.removeFirst().value }
        let (client, queue, messages) = (client, queue, window)
        (window, bytes) = ([], 0)
        onTheWay.append(
            Task { try await retrying(for: Self.patience) { try await client.broker.publish(messages, to: queue) } }
        )
    }
}

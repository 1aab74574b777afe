import Sheaf
import SheafBroker
import SheafCore

/// Feeds tasks to an open batch, one at a time, and measures how long each takes until its outcome is read.
struct Latency {
    let client: SheafClient
    let count: Int

    /// How many tasks go first that do not count: the worker has to find the batch.
    private static let warmUp = 30
    /// How long nothing happens before a task, so that what the one before it has left is done.
    private static let idle = Duration.milliseconds(10)

    /// The median in seconds.
    func median() async throws -> Double {
        var generator = SystemRandomNumberGenerator()
        let batch = Name.newBatch(at: .now, using: &generator)
        let plan = BatchPlan(flow: .echo, id: batch)
        let (items, feed) = AsyncStream<[SourceItem]>.makeStream()
        let (created, notice) = AsyncStream<Void>.makeStream()
        let client = self.client
        return try await withThrowingTaskGroup(of: Double?.self) { group in
            group.addTask {
                let events = CreationEvents(onCreated: { _ in notice.yield() })
                try await client.create(plan, from: items, events: events)
                return nil
            }
            group.addTask {
                feed.yield([Self.item(0)])
                for await _ in created { break }
                let times = try await Self.measure(client, batch, feed, count)
                feed.finish()
                return times.sorted()[times.count / 2]
            }
            var median: Double?
            while let result = try await group.next() { median = result ?? median }
            guard let median else { throw SheafError(.invalid, "nothing was measured") }
            return median
        }
    }

    private static func measure(
        _ client: SheafClient,
        _ batch: Name,
        _ feed: AsyncStream<[SourceItem]>.Continuation,
        _ count: Int
    ) async throws -> [Double] {
        let reader = try await client.broker.read(client.names.results(batch: batch), from: .first)
        try await waitForOutcome(of: 0, reader)
        var times: [Double] = []
        for index in 1...(warmUp + count) {
            try await Task.sleep(for: idle)
            let start = ContinuousClock.now
            feed.yield([item(index)])
            try await waitForOutcome(of: index, reader)
            if index > warmUp { times.append((.now - start) / .seconds(1)) }
        }
        await reader.cancel()
        return times
    }

    private static func waitForOutcome(of index: Int, _ reader: any LogReader) async throws {
        while let chunk = try await reader.next() {
            for entry in chunk.entries
            where ResultMessage.outcomes(of: entry.message).contains(where: { $0.index == index }) { return }
        }
        throw SheafError(.notFound, "the results ended before the outcome of task \(index)")
    }

    private static func item(_ index: Int) -> SourceItem {
        let bytes = Array("\"\(String(repeating: "x", count: 198))\"".utf8)
        let record = Record(id: "record-\(index)", kind: .json, bytes: bytes)
        return SourceItem(index: index, place: record.id, content: .record(record))
    }
}

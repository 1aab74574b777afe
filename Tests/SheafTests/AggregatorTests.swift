import SheafBroker
import SheafCore
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@testable import SheafBatches
@testable import SheafWorker

@Suite("Aggregator") struct AggregatorTests {
    /// A batch whose results the test writes itself.
    private struct Scene {
        let client: SheafClient
        let batch: CreatedBatch

        var log: String { client.names.results(batch: batch.id) }
        var queue: String { client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0) }

        func append(_ range: Range<Int>, status: Outcome.Status = .succeeded, generation: Int = 0) async throws {
            var lines: [UInt8] = []
            for index in range {
                let outcome = Outcome(
                    index: index,
                    generation: generation,
                    status: status,
                    recordID: "r\(index)",
                    output: status == .succeeded ? Array("\(generation)".utf8) : nil,
                    error: status == .failed ? Outcome.Failure(type: "t", message: "m") : nil,
                    startedAt: .now,
                    finishedAt: .now,
                    worker: "w"
                )
                outcome.writeLine(to: &lines)
            }
            try await client.broker.append(ResultMessage.outcomes(batch: batch.id, lines: lines), to: log)
        }

        /// Aggregates until the body returns.
        func aggregating<Result: Sendable>(
            _ change: (inout AggregatorTiming) -> Void = { _ in },
            _ body: @escaping @Sendable (Journal) async throws -> Result
        ) async throws -> Result {
            var timing = AggregatorTiming(interval: .milliseconds(50), progressInterval: .milliseconds(50))
            change(&timing)
            let journal = try await Journal.read(from: client)
            let aggregator = Aggregator(client: client, journal: journal, timing: timing)
            return try await withThrowingTaskGroup(of: Result?.self) { group in
                group.addTask {
                    try await journal.run()
                    return nil
                }
                group.addTask {
                    try await aggregator.run()
                    return nil
                }
                group.addTask { try await body(journal) }
                defer { group.cancelAll() }
                while let result = try await group.next() { if let result { return result } }
                throw CancellationError()
            }
        }

        /// Waits until the aggregator reports the wanted progress.
        @discardableResult
        func progress(until isWanted: @escaping @Sendable (BatchProgress) -> Bool) async throws -> BatchProgress {
            let batch = batch.id
            return try await withTimeLimit(.seconds(30), "no such progress") {
                var latest = LatestProgress()
                try await self.client.broker.follow(self.client.names.progress, from: .last) { chunk in
                    latest.apply(chunk)
                    return latest.batches[batch].map { !isWanted($0) } ?? true
                }
                guard let progress = latest.batches[batch] else { throw CancellationError() }
                return progress
            }
        }
    }

    private static func with(
        _ kind: BrokerKind,
        tasks: Int,
        _ body: @escaping @Sendable (Scene) async throws -> Void
    ) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(tasks))
                try await body(Scene(client: client, batch: batch))
            }
        }
    }

    @Test("The next aggregator continues from the checkpoint", arguments: BrokerKind.allCases)
    func theNextAggregatorBeginsAtTheCheckpoint(kind: BrokerKind) async throws {
        try await Self.with(kind, tasks: 1000) { scene in
            try await scene.append(0..<400)
            let checkpoint = try await scene.aggregating({ $0.checkpointEvery = 1 }) { _ in
                try await scene.progress { $0.checkpoint != nil && $0.settled.succeeded == 400 }.checkpoint
            }
            try await scene.append(300..<700)
            let journal = try await Journal.read(from: scene.client)
            let next = Aggregator(client: scene.client, journal: journal)
            try await next.inheritProgress()
            let restored = try await next.restore(scene.batch.id)
            #expect(restored.checkpoint == checkpoint && restored.nextOffset > 0)
            #expect(restored.state.settled.succeeded == 400)
            try await next.catchUp(scene.batch.id)
            #expect(await next.progress(of: scene.batch.id).settled.succeeded == 700)
            let summary = try await scene.client.batch(scene.batch.id.text)
            #expect(summary.counts == BatchCounts(pending: 300, succeeded: 700))
        }
    }

    @Test("A reader that folds results writes a checkpoint", arguments: BrokerKind.allCases)
    func aReaderKeepsWhatItHasRead(kind: BrokerKind) async throws {
        try await Self.with(kind, tasks: 500) { scene in
            try await scene.append(0..<400)
            var timing = AggregatorTiming()
            timing.checkpointEvery = 1
            let journal = try await Journal.read(from: scene.client)
            let reader = Aggregator(client: scene.client, journal: journal, timing: timing)
            let info = try #require(journal[scene.batch.id])
            let progress = try await reader.foldOnce([info])[scene.batch.id]
            #expect(progress?.settled.succeeded == 400)
            let next = Aggregator(client: scene.client, journal: journal)
            try await next.inheritProgress()
            let restored = try await next.restore(scene.batch.id)
            #expect(restored.checkpoint != nil && restored.checkpoint == progress?.checkpoint)
            #expect(restored.state.settled.succeeded == 400)
        }
    }

    @Test("Aggregation begins anew after an error about one batch", arguments: BrokerKind.allCases)
    func oneBatchFails(kind: BrokerKind) async throws {
        try await Self.with(kind, tasks: 2) { scene in
            let broker = ClingingBroker(scene.client.broker, to: scene.queue)
            let client = try await SheafClient(
                broker: broker,
                namespace: scene.client.names.namespace,
                logger: scene.client.logger
            )
            try await Scene(client: client, batch: scene.batch).aggregating { _ in
                try await scene.append(0..<2)
                // Otherwise nothing would delete the queue, and nothing would follow the batch if it were retried.
                try await until("the queue of the ended batch is deleted") {
                    try await scene.client.broker.queueStatus(scene.queue) == nil
                }
            }
            #expect(broker.refusals == 2)
        }
    }

    @Test("A damaged checkpoint is ignored", arguments: BrokerKind.allCases)
    func aTornCheckpointIsLeftAside(kind: BrokerKind) async throws {
        try await Self.with(kind, tasks: 50) { scene in
            try await scene.append(0..<20)
            let offset = try #require(try await scene.client.broker.endOffset(of: scene.log))
            var torn = ResultMessage.checkpoint(batch: scene.batch.id, of: BatchState(), upTo: offset)
            torn.body.removeLast()
            try await scene.client.broker.append(torn, to: scene.log)
            try await scene.append(20..<30)
            var said = BatchProgress(batch: scene.batch.id, state: BatchState(), running: 0, offset: 0)
            for place in [offset, offset + 1, offset + 1000] {
                said.checkpoint = place
                let message = ProgressMessage(at: .now, batches: [said]).message
                try await scene.client.broker.append(message, to: scene.client.names.progress)
                let summary = try await scene.client.batch(scene.batch.id.text)
                #expect(summary.counts == BatchCounts(pending: 20, succeeded: 30))
            }
        }
    }

    @Test("The leased tasks of a dead worker are returned to the queue", arguments: BrokerKind.allCases)
    func whatALostWorkerHadLeasedGoesBack(kind: BrokerKind) async throws {
        try await Self.with(kind, tasks: 2) { scene in
            let (client, names) = (scene.client, scene.client.names)
            let lock = try #require(try await client.broker.acquireLock(names.workerLock("alive")))
            for worker in ["alive", "gone"] {
                let delivery = try #require(try await client.broker.get(scene.queue))
                let task = try BatchTask(delivery.message)
                let lease = TaskLease(id: "lease of \(worker)", index: task.index, generation: 0, worker: worker)
                try await client.broker.append(lease.message(of: task), to: scene.log)
                try await client.broker.settle(delivery, as: .acknowledged)
            }
            let returned = try await scene.aggregating({ $0.leaseGrace = .milliseconds(300) }) { _ in
                while true {
                    if let delivery = try await client.broker.get(scene.queue) { return delivery }
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            let task = try BatchTask(returned.message)
            #expect(task.index == 1 && task.attempt == 2)
            #expect(try await client.broker.get(scene.queue) == nil)
            try await client.broker.settle(returned, as: .returned)
            await lock.release()
        }
    }

    @Test("Tasks that the broker lost are reported as missing", arguments: BrokerKind.allCases)
    func whatTheBrokerHasLostIsMissing(kind: BrokerKind) async throws {
        try await Self.with(kind, tasks: 10) { scene in
            try await scene.append(0..<4)
            try await scene.client.broker.purgeQueue(scene.queue)
            try await scene.aggregating({ $0.missingGrace = .milliseconds(300) }) { _ in
                try await scene.progress { $0.missing == 6 }
                #expect(try await scene.client.batch(scene.batch.id.text).missing == 6)
                // An outcome arrives after all; missing tasks are reported again once the batch is quiet.
                try await scene.append(4..<5)
                try await scene.progress { $0.missing == 5 }
            }
        }
    }

    @Test("A retried task has one row in the results", arguments: BrokerKind.allCases)
    func aRetriedTaskHasOneRow(kind: BrokerKind) async throws {
        try await Self.with(kind, tasks: 10) { scene in
            let client = scene.client
            try await scene.append(0..<6)
            try await scene.append(6..<10, status: .failed)
            #expect(try await client.batch(scene.batch.id.text).status == .completed)
            let journal = try await Journal.read(from: client)
            for (nonce, tasks) in [("crashed", 0..<10), ("retry", 7..<9)] {
                let message = ResultMessage.reopened(
                    batch: scene.batch.id,
                    generation: 1,
                    nonce: nonce,
                    tasks: IndexRanges(rising: tasks)
                )
                try await client.broker.append(message, to: scene.log)
            }
            let retried = JournalEntry.Event.retried(generation: 1, nonce: "retry", count: 2, tolerated: 0)
            try await journal.append(retried, to: scene.batch.id, flow: scene.batch.flow)
            #expect(
                try await client.batch(scene.batch.id.text).counts == BatchCounts(pending: 2, succeeded: 6, failed: 2)
            )
            #expect(
                try await client.allResults(scene.batch.id, ordered: true).map(\.index) == [0, 1, 2, 3, 4, 5, 6, 9]
            )
            try await scene.append(6..<10)  // late, of the older generation
            try await scene.append(8..<9, generation: 1)
            let counts = try await client.batch(scene.batch.id.text).counts
            #expect(counts == BatchCounts(pending: 1, succeeded: 7, failed: 2))
            try await scene.append(7..<8, status: .failed, generation: 1)
            let last = try await client.batch(scene.batch.id.text)
            #expect(last.status == .completed && last.counts == BatchCounts(succeeded: 7, failed: 3))
            let rows = try await client.allResults(scene.batch.id, ordered: true)
            #expect(rows.map(\.index) == Array(0..<10))
            #expect(rows.map(\.generation) == [0, 0, 0, 0, 0, 0, 0, 1, 1, 0])
        }
    }

    @Test("Several aggregators at once count every outcome once", arguments: BrokerKind.allCases)
    func twoAggregatorsDoNoHarm(kind: BrokerKind) async throws {
        try await Self.with(kind, tasks: 500) { scene in
            let journal = try await Journal.read(from: scene.client)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for start in stride(from: 0, to: 500, by: 50) {
                    group.addTask {
                        try await scene.append(start..<start + 50)
                        // Each aggregates without the lock, as after a network partition.
                        let other = Aggregator(
                            client: scene.client,
                            journal: try await Journal.read(from: scene.client)
                        )
                        _ = try await other.foldOnce(journal.state.batches)
                    }
                }
                try await group.waitForAll()
            }
            let summary = try await scene.client.batch(scene.batch.id.text)
            #expect(summary.status == .completed && summary.counts == BatchCounts(succeeded: 500))
        }
    }

    @Test("A fold notices that its log was trimmed") func whatWasTrimmedIsNoticed() throws {
        let batch = Name("b")
        func chunk(_ start: Int64) -> LogChunk {
            LogChunk(entries: [], nextOffset: start + 10, startOffset: start)
        }
        var whole = BatchFold(batch: batch)
        for start in [0, 10, 21, 31] as [Int64] { whole.apply(chunk(start)) }
        #expect(!whole.isTrimmed)
        var trimmed = BatchFold(batch: batch)
        trimmed.apply(chunk(4000))
        #expect(trimmed.isTrimmed)
    }
}

/// A broker that twice does not delete a queue.
private final class ClingingBroker: BrokerWrapper {
    let inner: any Broker
    private let queue: String
    private let count = Mutex(0)

    init(_ inner: any Broker, to queue: String) { (self.inner, self.queue) = (inner, queue) }

    /// How often it has not.
    var refusals: Int { count.withLock { $0 } }

    func deleteQueue(_ name: String) async throws {
        let isRefused = count.withLock { count in
            if name != queue || count == 2 { return false }
            count += 1
            return true
        }
        if isRefused { throw BrokerError(.timedOut, "the broker did not answer in this test") }
        try await inner.deleteQueue(name)
    }
}

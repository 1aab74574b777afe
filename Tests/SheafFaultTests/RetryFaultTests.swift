import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

/// A process may die at any of its calls to the broker; repeating the operation always has the same result.
@Suite("Operations interrupted at any call", .serialized) struct RetryFaultTests {
    /// A batch of six tasks, every second of which has failed.
    private func halfFailed(_ client: SheafClient) async throws -> CreatedBatch {
        let batch = try await client.create(plan { $0.options.maxRunning = 2 }, records: records(6))
        try await client.runByHand(batch) { $0.index.isMultiple(of: 2) ? .failed : .succeeded }
        #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 3, failed: 3))
        return batch
    }

    @Test(
        "A retry that is killed at any call can be repeated",
        arguments: BrokerKind.allCases,
        FailingBroker.Moment.allCases
    )
    func aRetryKilledAtAnyStep(kind: BrokerKind, moment: FailingBroker.Moment) async throws {
        try await Stage.with(kind, timeout: .seconds(300)) { stage in
            var (step, isWhole) = (0, false)
            while !isWhole {
                let batch = try await stage.client { try await halfFailed($0) }
                isWhole = try await stage.dying(after: step, moment) { _ = try await $0.retry(batch.id.text) }
                try await stage.client { client in
                    let killed = try await client.batch(batch.id.text)
                    let isDone = killed.info.generation == 1
                    let counts = isDone ? BatchCounts(pending: 3, succeeded: 3) : BatchCounts(succeeded: 3, failed: 3)
                    #expect(killed.counts == counts, "killed at step \(step)")
                    #expect(killed.status == (isDone ? .processing : .completed), "killed at step \(step)")
                    let report = try await client.retry(batch.id.text)
                    #expect(report.retried == (isDone ? 0 : 3), "killed at step \(step)")
                    #expect(report.batch.info.reopenings.map(\.count) == [3])
                    #expect(try await client.waiting(batch, generation: 1) == 3)
                    #expect(try await client.validPermits(of: report.batch.info).count == 2)
                    #expect(try await client.runByHand(batch, generation: 1) == [0, 2, 4])
                    let summary = try await client.batch(batch.id.text)
                    #expect(summary.status == .completed, "killed at step \(step)")
                    #expect(summary.counts == BatchCounts(succeeded: 6), "killed at step \(step)")
                }
                step += 1
            }
            #expect(step > 10, "the retry makes more calls than that")
        }
    }

    @Test(
        "A deletion that is killed at any call can be repeated",
        arguments: BrokerKind.allCases,
        FailingBroker.Moment.allCases
    )
    func aDeletionKilledAtAnyStep(kind: BrokerKind, moment: FailingBroker.Moment) async throws {
        try await Stage.with(kind, timeout: .seconds(300)) { stage in
            var (step, isWhole) = (0, false)
            while !isWhole {
                let batch = try await stage.client { try await halfFailed($0) }
                isWhole = try await stage.dying(after: step, moment) { _ = try await $0.delete(batch.id.text) }
                try await stage.client { client in
                    try await client.delete(batch.id.text)
                    let error = await #expect(throws: SheafError.self) { try await client.batch(batch.id.text) }
                    #expect(error?.code == .notFound)
                    let names = client.names
                    #expect(try await client.waiting(batch, generation: 0) == nil, "killed at step \(step)")
                    #expect(try await client.broker.queueStatus(names.permits(batch: batch.id, generation: 0)) == nil)
                    #expect(try await client.broker.endOffset(of: names.results(batch: batch.id)) == nil)
                    #expect(try await client.delete(batch.id.text).wasDeleted)
                }
                step += 1
            }
            #expect(step > 5, "the deletion makes more calls than that")
        }
    }

    @Test(
        "A change of the limit that is killed at any call can be repeated",
        arguments: BrokerKind.allCases,
        FailingBroker.Moment.allCases
    )
    func aChangeOfTheLimitKilledAtAnyStep(kind: BrokerKind, moment: FailingBroker.Moment) async throws {
        try await Stage.with(kind, timeout: .seconds(300)) { stage in
            var (step, isWhole) = (0, false)
            while !isWhole {
                let batch = try await stage.client { client in
                    try await client.create(plan { $0.options.maxRunning = 2 }, records: records(3))
                }
                isWhole = try await stage.dying(after: step, moment) { client in
                    try await client.setMaxRunning(5, of: batch.id.text)
                }
                try await stage.client { client in
                    let summary = try await client.setMaxRunning(5, of: batch.id.text)
                    #expect(summary.info.maxRunning == 5)
                    let permits = try await client.validPermits(of: summary.info)
                    #expect(permits.map(\.number).sorted() == [0, 1, 2, 3, 4], "killed at step \(step)")
                }
                step += 1
            }
            #expect(step > 5, "the change makes more calls than that")
        }
    }

    @Test("Concurrent retries reopen each task once", arguments: BrokerKind.allCases)
    func retriesRacingWithEachOther(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            for _ in 0..<5 {
                let batch = try await stage.client { try await halfFailed($0) }
                let retried = try await withThrowingTaskGroup(of: Int?.self) { group in
                    for _ in 0..<3 {
                        group.addTask {
                            try await stage.client { client in
                                do {
                                    return try await client.retry(batch.id.text).retried
                                } catch let error as SheafError {
                                    #expect(error.code == .notNow)
                                    return nil
                                }
                            }
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(retried.compactMap { $0 }.reduce(0, +) == 3)
                try await stage.client { client in
                    #expect(try await client.runByHand(batch, generation: 1) == [0, 2, 4])
                    let summary = try await client.batch(batch.id.text)
                    #expect(summary.info.generation == 1)
                    #expect(summary.status == .completed)
                    #expect(summary.counts == BatchCounts(succeeded: 6))
                }
            }
        }
    }

    @Test("A retry that races with a cancellation leaves a consistent batch", arguments: BrokerKind.allCases)
    func aRetryRacingWithACancel(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            for round in 0..<6 {
                let batch = try await stage.client { client in
                    let batch = try await client.create(plan(), records: records(6))
                    try await client.runByHand(batch, atMost: 3) { _ in .failed }
                    return batch
                }
                async let retry: Void = stage.client { client in
                    do {
                        try await client.retry(batch.id.text)
                    } catch let error as SheafError {
                        #expect(error.code == .alreadyFinished)
                    }
                }
                async let cancel: Void = stage.client { client in
                    try await Task.sleep(for: .milliseconds(round * 8))
                    try await client.cancel(batch.id.text)
                }
                _ = try await (retry, cancel)
                try await stage.client { client in
                    try await until("the batch has ended") {
                        try await client.batch(batch.id.text).info.ending != nil
                    }
                    let summary = try await client.batch(batch.id.text)
                    #expect(summary.status == .cancelled)
                    #expect(summary.counts.total == 6)
                    #expect(summary.counts.failed + summary.counts.cancelled == 6)
                    #expect(summary.counts.failed == (summary.info.generation == 0 ? 3 : 0))
                    for generation in 0...1 {
                        #expect(try await client.waiting(batch, generation: generation) ?? 0 == 0)
                    }
                    let other = try await stage.client { try await $0.batch(batch.id.text) }
                    #expect(other == summary)
                }
            }
        }
    }
}

import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafSources
import SheafTestSupport
import Testing

@Suite("Retrying failed tasks") struct RetryTests {
    /// Records which tasks were run.
    actor Seen {
        private(set) var ids: [String] = []
        func note(_ task: FlowTask) { ids.append("\(task.batch):\(task.index)/\(task.attempt)") }
    }

    @Test("Failed tasks run again under the same ids", arguments: BrokerKind.allCases)
    func whatFailedRunsAgainUnderTheSameIDs(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let seen = Seen()
            let broken = try FlowDefinition.work { task in
                if task.index.isMultiple(of: 4) { throw FlowError(type: "broken", message: "for good") }
                return .value(1)
            }
            let fixed = try FlowDefinition.work { task in
                await seen.note(task)
                return .json(task.record.bytes)
            }
            let batch = try await stage.client { try await $0.create(plan(), records: records(20)) }
            try await stage.work([broken])
            try await stage.client { client in
                let report = try await client.retry(batch.id.text)
                #expect(report.retried == 5)
                #expect(report.generation == 1)
                #expect(report.batch.status == .processing)
                #expect(report.batch.counts == BatchCounts(pending: 5, succeeded: 15))
                let again = try await client.retry(batch.id.text)
                #expect(again.retried == 0 && again.generation == 1)
            }
            try await stage.work([fixed])
            let expected = stride(from: 0, to: 20, by: 4).map { "\(batch.id):\($0)/1" }
            #expect(await seen.ids.sorted() == expected.sorted())
            let summary = try await stage.client { try await $0.batch(batch.id.text) }
            #expect(summary.status == .completed)
            #expect(summary.counts == BatchCounts(succeeded: 20))
        }
    }

    @Test("Only the requested tasks run again, and late outcomes change nothing", arguments: BrokerKind.allCases)
    func onlyTheTasksNamedRunAgainAndLateOutcomesChangeNothing(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(10))
                try await client.runByHand(batch) { $0.index < 6 ? .failed : .succeeded }
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 4, failed: 6))
                let report = try await client.retry(batch.id.text, only: IndexRanges("1,3-4,8"))
                #expect(report.retried == 3 && report.unaffected == 1)
                // An outcome of the previous generation, as of a worker that lost its connection.
                let record = Record(id: "r3", kind: .json, bytes: Array("{}".utf8))
                let late = BatchTask(flow: batch.flow, batch: batch.id, index: 3, record: record)
                try await client.note(.succeeded, of: late)
                #expect(
                    try await client.batch(batch.id.text).counts == BatchCounts(pending: 3, succeeded: 4, failed: 3)
                )
                #expect(try await client.runByHand(batch, generation: 1) == [1, 3, 4])
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .completed)
                #expect(summary.counts == BatchCounts(succeeded: 7, failed: 3))
                #expect(summary.info.ending?.generation == 1)
                let error = await #expect(throws: SheafError.self) {
                    try await client.retry(batch.id.text, only: IndexRanges("10"))
                }
                #expect(error?.code == .notFound)
            }
        }
    }

    @Test("A retry lifts the stop of the error policy", arguments: BrokerKind.allCases)
    func aBatchThatItsPolicyHasStoppedGoesOn(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let stopping = try plan { $0.options.errorPolicy = .stop(above: 1) }
                let batch = try await client.create(stopping, records: records(10))
                try await client.runByHand(batch, atMost: 4) { _ in .failed }
                let stopped = try await client.batch(batch.id.text)
                #expect(stopped.status == .failed)
                let report = try await client.retry(batch.id.text)
                #expect(report.retried == 4)
                #expect(report.batch.status != .failed)
                #expect(report.batch.counts.pending == 10)
                #expect(report.batch.info.generations == 0...1)
                #expect(try await client.waiting(batch, generation: 0) == 6)
                #expect(try await client.runByHand(batch, generation: 1).count == 4)
                #expect(try await client.runByHand(batch).count == 6)
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .completed)
                #expect(summary.counts == BatchCounts(succeeded: 10))
            }
        }
    }

    @Test("Unreadable records and cancelled batches do not run again", arguments: BrokerKind.allCases)
    func unreadableRecordsAndCancelledBatchesDoNotRunAgain(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let items = AsyncStream { continuation in
                    continuation.yield([
                        SourceItem(index: 0, place: "a:1", content: .invalid(message: "no JSON")),
                        SourceItem(
                            index: 1,
                            place: "a:2",
                            content: .record(Record(id: "x", kind: .json, bytes: Array("{}".utf8)))
                        ),
                    ])
                    continuation.finish()
                }
                let batch = try await client.create(plan(), from: items)
                try await client.runByHand(batch)
                let report = try await client.retry(batch.id.text)
                #expect(report.retried == 0 && report.invalid == 1)
                #expect(report.batch.status == .completed)
                #expect(try await client.waiting(batch, generation: 1) == nil)

                let other = try await client.create(plan(), records: records(2))
                try await client.cancel(other.id.text)
                let error = await #expect(throws: SheafError.self) { try await client.retry(other.id.text) }
                #expect(error?.code == .alreadyFinished)
            }
        }
    }

    @Test("A retry keeps the number of permits of a limited batch", arguments: BrokerKind.allCases)
    func aCappedBatchHasAsManyPermitsAsBefore(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let capped = try plan { $0.options.maxRunning = 3 }
                let batch = try await client.create(capped, records: records(4))
                try await client.runByHand(batch) { _ in .failed }
                #expect(try await client.batch(batch.id.text).status == .completed)
                let report = try await client.retry(batch.id.text)
                #expect(report.batch.info.oldestQueue == 1)
                #expect(try await client.validPermits(of: report.batch.info).count == 3)
            }
        }
    }

    @Test("Many tasks are reopened in chunks", arguments: BrokerKind.allCases)
    func manyTasksAreOpenedAgainInChunks(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let total = 25_000
                let batch = try await client.create(plan(), records: records(total))
                try await client.broker.purgeQueue(client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0))
                var lines: [UInt8] = []
                for index in 0..<total where !index.isMultiple(of: 3) {
                    let record = Record(id: "r\(index)", kind: .json, bytes: Array(#"{"n":\#(index)}"#.utf8))
                    Outcome(
                        index: index,
                        status: .failed,
                        recordID: record.id,
                        error: Outcome.Failure(type: "broken", message: ""),
                        startedAt: .now,
                        finishedAt: .now,
                        worker: "hand",
                        record: record
                    ).writeLine(to: &lines)
                }
                let outcomes = ResultMessage.outcomes(batch: batch.id, lines: lines)
                try await client.broker.append(outcomes, to: client.names.results(batch: batch.id))
                let failed = (0..<total).count { !$0.isMultiple(of: 3) }
                let report = try await client.retry(batch.id.text)
                #expect(report.retried == failed)
                #expect(report.batch.counts == BatchCounts(pending: total))
                #expect(try await client.waiting(batch, generation: 1) == failed)
            }
        }
    }
}

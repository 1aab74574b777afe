import Sheaf
import SheafBroker
import SheafCore
import SheafSources
import SheafTestSupport
import Testing

@Suite("Missing tasks") struct MissingTests {
    /// The input of a batch with the given number of records.
    private func input(_ count: Int, called letter: String = "r") -> AsyncStream<[SourceItem]> {
        AsyncStream { continuation in
            for number in 0..<count {
                let id = "\(letter)\(number)"
                let record = Record(id: id, kind: .json, bytes: Array(#"{"n":\#(number)}"#.utf8))
                continuation.yield([SourceItem(index: number, place: "in:\(number)", content: .record(record))])
            }
            continuation.finish()
        }
    }

    @Test("Missing tasks are published again from the input", arguments: BrokerKind.allCases)
    func tasksOfALostQueueAreReadFromTheInputAgain(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan { $0.options.maxRunning = 2 }, records: records(6))
                #expect(try await client.runByHand(batch, atMost: 2).count == 2)
                let waiting = await #expect(throws: SheafError.self) {
                    try await client.retryMissing(batch.id.text, from: { _ in input(6) })
                }
                #expect(waiting?.code == .notNow)
                #expect(waiting?.message.contains("4 wait in their queue") == true)

                let names = client.names
                try await client.broker.deleteQueue(names.tasks(flow: batch.flow, batch: batch.id, generation: 0))
                try await client.broker.deleteQueue(names.permits(batch: batch.id, generation: 0))
                let stop = JournalEntry(
                    batch: batch.id,
                    flow: batch.flow,
                    at: .now,
                    event: .stopped(reason: "queue-lost: its task queue is gone")
                )
                try await client.broker.append(stop.message, to: names.journal)
                let refused = await #expect(throws: SheafError.self) { try await client.resume(batch.id.text) }
                #expect(refused?.advice == .retryMissing(batch.id))

                for other in [(5, "r"), (6, "x")] {
                    let wrong = await #expect(throws: SourceError.self) {
                        try await client.retryMissing(batch.id.text, from: { _ in input(other.0, called: other.1) })
                    }
                    #expect(wrong?.code == .changed)
                }
                #expect(try await client.batch(batch.id.text).info.generation == 0)

                let report = try await client.retryMissing(batch.id.text, from: { _ in input(6) })
                #expect(report.retried == 4)
                #expect(report.batch.info.stopped == nil)
                #expect(try await client.validPermits(of: report.batch.info).count == 2)
                #expect(try await client.waiting(batch, generation: 0) == 0)
                #expect(try await client.runByHand(batch, generation: 1).count == 4)
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .completed)
                #expect(summary.counts == BatchCounts(succeeded: 6))
                let nothing = try await client.retryMissing(batch.id.text, from: { _ in input(6) })
                #expect(nothing.retried == 0)
            }
        }
    }

    @Test("Missing tasks that failed before are published again from their outcomes", arguments: BrokerKind.allCases)
    func tasksThatRanAgainBeforeAreTakenFromTheirOutcomes(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(4))
                try await client.runByHand(batch) { $0.index < 2 ? .failed : .succeeded }
                _ = try await client.batch(batch.id.text)
                try await client.retry(batch.id.text)
                try await client.broker.purgeQueue(client.names.tasks(flow: batch.flow, batch: batch.id, generation: 1))
                let report = try await client.retryMissing(
                    batch.id.text,
                    from: { _ in
                        Issue.record("the input is not needed")
                        return input(4)
                    }
                )
                #expect(report.retried == 2 && report.generation == 2)
                #expect(try await client.runByHand(batch, generation: 2) == [0, 1])
                #expect(try await client.batch(batch.id.text).counts == BatchCounts(succeeded: 4))
            }
        }
    }

    @Test("Tasks that may not be lost are published again only with force", arguments: BrokerKind.allCases)
    func whatMayNotBeLostIsPublishedAgainByForceOnly(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(3))
                try await client.broker.purgeQueue(client.names.tasks(flow: batch.flow, batch: batch.id, generation: 0))
                let signal = Heartbeat(worker: "w", running: [batch.id: [1]])
                try await client.broker.append(signal.message, to: client.names.heartbeats)
                // A worker sends it repeatedly.
                let worker = Task {
                    while true {
                        try await Task.sleep(for: .milliseconds(500))
                        try await client.broker.append(signal.message, to: client.names.heartbeats)
                    }
                }
                let running = await #expect(throws: SheafError.self) {
                    try await client.retryMissing(batch.id.text, from: { _ in input(3) })
                }
                worker.cancel()
                _ = await worker.result
                #expect(running?.message.contains("1 are being run") == true)
                let report = try await client.retryMissing(batch.id.text, isForced: true, from: { _ in input(3) })
                #expect(report.retried == 3)
            }
        }
    }
}

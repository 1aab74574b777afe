import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import Testing

@testable import SheafBatches
@testable import SheafWorker

@Suite("Bulks when something goes wrong") struct BulkFaultTests {
    @Test("A late outcome of the previous worker does not dissolve a bulk", arguments: BrokerKind.allCases)
    func lateOutcome(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let provider = JobProvider()
            var flow = JobFlow(provider: provider)
            let batch = try await client.create(plan(), records: records(6))
            try await stage.losing(flow) {
                try await until("the job is submitted") { await provider.submissions.joined().count == 6 }
            }
            let submissions = await provider.submissions
            await provider.answerAll()
            flow.before = { tasks, _ in
                guard tasks.contains(where: { $0.index == 4 }) else { return }
                let now = Timestamp.now
                let outcome = Outcome(
                    index: 4,
                    generation: 0,
                    status: .succeeded,
                    recordID: "r4",
                    attempts: 1,
                    startedAt: now,
                    finishedAt: now,
                    worker: "lost"
                )
                var line: [UInt8] = []
                outcome.writeLine(to: &line)
                let message = ResultMessage.outcomes(batch: batch.id, lines: line)
                try await client.broker.append(message, to: client.names.results(batch: batch.id))
            }
            #expect(try await stage.work([flow.definition()]).succeeded == 5)
            #expect(await provider.submissions == submissions, "nothing is submitted twice")
            #expect(await provider.jobs.values.allSatisfy { !$0.isCancelled && $0.attached == [$0.tasks] })
            #expect(try await outcomeIndices(in: client.events(of: batch.id)).sorted() == Array(0..<6))
        }
    }

    @Test("A bulk that has lost one of its tasks is handed over with its memo", arguments: BrokerKind.allCases)
    func lostMember(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let (provider, calls) = (JobProvider(), Gauge())
            var flow = JobFlow(provider: provider)
            let batch = try await client.create(plan(), records: records(6))
            try await stage.losing(flow) {
                try await until("the job is submitted") { await provider.submissions.joined().count == 6 }
            }
            let submissions = await provider.submissions
            await provider.answerAll()
            flow.before = { tasks, memo in
                guard memo != nil, tasks.contains(where: { $0.index == 4 }) else { return }
                await calls.enter()
                guard await calls.total == 1 else { return }
                let log = client.names.results(batch: batch.id)
                for entry in try await client.entries(of: log) {
                    guard let lease = TaskLease(entry.message), lease.index == 4,
                        let task = TaskLease.task(of: entry.message)
                    else { continue }
                    let queue = client.names.tasks(flow: task.flow, batch: batch.id, generation: 0)
                    try await client.broker.publish(TaskLease.returning(task.message, from: lease.id), to: queue)
                    try await client.broker.append(ResultMessage.returned(batch: batch.id, lease: lease.id), to: log)
                }
            }
            #expect(try await stage.work([flow.definition()]).succeeded == 6)
            #expect(await provider.submissions == submissions + [[4]], "only the returned task is submitted again")
            #expect(await provider.jobs.values.allSatisfy { !$0.isCancelled })
            #expect(try await outcomeIndices(in: client.events(of: batch.id)).sorted() == Array(0..<6))
        }
    }
}

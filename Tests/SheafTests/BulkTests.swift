import Foundation
import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafSources
import SheafTestSupport
import Testing

@testable import SheafBatches
@testable import SheafWorker

/// Tasks that a worker hands to a bulk flow as one job, and jobs that another worker takes over.
@Suite("Bulks") struct BulkTests {
    /// A record of ten bytes, as a creator reads it.
    private static func item(_ number: Int) -> SourceItem {
        let record = Record(id: "r\(number)", kind: .text, bytes: Array(repeating: UInt8(ascii: "x"), count: 10))
        return SourceItem(index: number - 1, place: record.id, content: .record(record))
    }

    @Test("Tasks come in bulks, and each outcome is there before its bulk ends", arguments: BrokerKind.allCases)
    func bulks(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let provider = JobProvider()
            let flow = JobFlow(provider: provider, maximumTasks: 4).definition()
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(10))
                async let working = stage.work([flow])
                try await until("all tasks are submitted") { await provider.submissions.joined().count == 10 }
                let submissions = await provider.submissions
                #expect(submissions.joined().sorted() == Array(0..<10))
                #expect(submissions.map(\.count).max() == 4 && submissions.count <= 5)
                let info = try await client.batch(batch.id.text).info
                #expect(try await client.waiting(in: info) == 0)
                await provider.answer(3)
                try await until("the outcome is there while the job goes on") {
                    try await outcomeIndices(in: client.events(of: batch.id)) == [3]
                }
                await provider.answerAll()
                let report = try await working
                #expect(report.succeeded == 10)
                let outcomes = try await client.allResults(batch.id)
                #expect(outcomes.count == 10 && outcomes.allSatisfy { $0.status == .succeeded })
                #expect(try await outcomeIndices(in: client.events(of: batch.id)).sorted() == Array(0..<10))
            }
        }
    }

    @Test("A worker with one slot gathers many tasks", arguments: BrokerKind.allCases)
    func oneSlot(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let provider = JobProvider(answersAll: true)
            let flow = JobFlow(provider: provider, maximumTasks: 300).definition()
            let batch = try await stage.client { try await $0.create(plan(), records: records(300)) }
            let report = try await stage.work([flow]) { $0.concurrency = 1 }
            #expect(report.succeeded == 300)
            #expect(await provider.submissions.map(\.count).max() ?? 0 > 100)
            let outcomes = try await stage.client { try await $0.allResults(batch.id) }
            #expect(Set(outcomes.map(\.index)) == Set(0..<300))
        }
    }

    @Test("A bulk waits for tasks that are not published yet, until no more can come", arguments: BrokerKind.allCases)
    func waiting(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let provider = JobProvider(answersAll: true)
            var waiting = JobFlow(provider: provider)
            waiting.maximumWait = .seconds(3_600)
            let flow = waiting.definition()
            try await stage.client { client in
                let (source, creator) = AsyncStream.makeStream(of: [SourceItem].self)
                async let creating = client.create(plan { $0.id = "slow" }, from: source)
                creator.yield([Self.item(1)])
                try await until("the batch exists") { try await client.batches().count == 1 }
                async let working = stage.work([flow]) { $0.timing.bulkGathering.patience = .zero }
                for number in 1...5 {
                    if number > 1 { creator.yield([Self.item(number)]) }
                    try await until("task \(number) has joined") {
                        try await bulkLeases(in: client.events(of: "slow")).count == number
                    }
                }
                #expect(await provider.submissions.isEmpty)
                creator.finish()
                _ = try await creating
                #expect(try await working.succeeded == 5)
                #expect(await provider.submissions.map(\.count) == [5])
            }
        }
    }

    @Test("A bulk begins when its oldest task is old, or has enough bytes", arguments: [false, true])
    func beginning(byBytes: Bool) async throws {
        try await Stage.with(.embedded) { stage in
            let provider = JobProvider(answersAll: true)
            var waiting = JobFlow(provider: provider)
            waiting.maximumWait = byBytes ? .seconds(3_600) : .milliseconds(500)
            if byBytes { waiting.maximumBytes = 30 }
            let flow = waiting.definition()
            try await stage.client { client in
                let (source, creator) = AsyncStream.makeStream(of: [SourceItem].self)
                async let creating = client.create(plan { $0.id = "slow" }, from: source)
                creator.yield((1...3).map(Self.item))
                try await until("the batch exists") { try await client.batches().count == 1 }
                async let working = stage.work([flow]) { $0.timing.bulkGathering.patience = .zero }
                try await until("the tasks are submitted") { await provider.submissions.joined().count == 3 }
                #expect(try await client.batch("slow").info.sealedTotal == nil)
                creator.finish()
                _ = try await creating
                #expect(try await working.succeeded == 3)
            }
        }
    }

    @Test("A paused batch does not keep its tasks in a bulk that waits for more")
    func pausing() async throws {
        try await Stage.with(.embedded) { stage in
            let provider = JobProvider(answersAll: true)
            var waiting = JobFlow(provider: provider)
            waiting.maximumWait = .seconds(3_600)
            let flow = waiting.definition()
            try await stage.client { client in
                let (source, creator) = AsyncStream.makeStream(of: [SourceItem].self)
                async let creating = client.create(plan { $0.id = "slow" }, from: source)
                creator.yield([Self.item(1)])
                try await until("the batch exists") { try await client.batches().count == 1 }
                async let working = stage.work([flow]) { $0.timing.bulkGathering.patience = .zero }
                try await until("the task has joined") { try await !bulkLeases(in: client.events(of: "slow")).isEmpty }
                _ = try await client.pause("slow")
                try await until("the task is returned") {
                    try await client.waiting(in: client.batch("slow").info) == 1
                }
                creator.finish()
                _ = try await creating
                #expect(try await working.succeeded == 0)
                #expect(await provider.submissions.isEmpty)
                _ = try await client.resume("slow")
                #expect(try await stage.work([flow]).succeeded == 1)
                #expect(await provider.submissions.joined().count == 1)
            }
        }
    }

    @Test("A worker that takes a bulk over resumes its job with the tasks left", arguments: BrokerKind.allCases)
    func takingOver(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let provider = JobProvider()
            let flow = JobFlow(provider: provider)
            let batch = try await client.create(plan(), records: records(6))
            try await stage.losing(flow) {
                try await until("the job is submitted") { await provider.submissions.joined().count == 6 }
                await provider.answer(2)
                try await until("one outcome is there") {
                    try await outcomeIndices(in: client.events(of: batch.id)) == [2]
                }
            }
            let submissions = await provider.submissions
            async let working = stage.work([flow.definition()])
            try await until("each job has another worker") {
                await provider.attached.reduce(into: Set()) { $0.formUnion($1) } == [0, 1, 3, 4, 5]
            }
            await provider.answerAll()
            #expect(try await working.succeeded == 5)
            let jobs = await provider.jobs.values
            #expect(await provider.submissions == submissions, "nothing is submitted twice")
            #expect(jobs.allSatisfy { !$0.isCancelled })
            for job in jobs where job.tasks != [2] { #expect(job.attached == [job.tasks.subtracting([2])]) }
            let events = try await client.events(of: batch.id)
            #expect(outcomeIndices(in: events).sorted() == Array(0..<6), "each task has one outcome")
            let outcomes = try await client.allResults(batch.id)
            #expect(outcomes.allSatisfy { $0.status == .succeeded && $0.attempts == 1 })
        }
    }

    @Test("Bulks with different memos are not mixed", arguments: BrokerKind.allCases)
    func differentMemos(kind: BrokerKind) async throws {
        try await Stage.aggregating(kind) { stage, client in
            let provider = JobProvider()
            var flow = JobFlow(provider: provider, maximumTasks: 3)
            let batch = try await client.create(plan(), records: records(6))
            try await stage.losing(flow) {
                try await until("all jobs are submitted") { await provider.submissions.joined().count == 6 }
            }
            let jobs = await provider.jobs
            #expect(jobs.count >= 2)
            flow.maximumTasks = 10
            let definition = flow.definition()
            async let working = stage.work([definition])
            try await until("all jobs are resumed") { await provider.attached.joined().count == 6 }
            await provider.answerAll()
            #expect(try await working.succeeded == 6)
            for (key, job) in await provider.jobs {
                #expect(job.tasks == jobs[key]?.tasks && job.attached == [job.tasks])
            }
            #expect(try await outcomeIndices(in: client.events(of: batch.id)).sorted() == Array(0..<6))
        }
    }

    @Test("A worker that leaves hands its bulk over at once and keeps the job", arguments: BrokerKind.allCases)
    func leaving(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let provider = JobProvider()
            let flow = JobFlow(provider: provider).definition()
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(3))
                let leaving = Task { try await stage.work([flow]) }
                try await until("the job is submitted") { await provider.submissions.joined().count == 3 }
                leaving.cancel()
                _ = await leaving.result
                let jobs = await provider.jobs.count
                let events = try await client.events(of: batch.id)
                #expect(bulkActions(in: events).count { $0 == .offered } == jobs)
                #expect(!events.contains { if case .returned = $0 { true } else { false } })
                let waiting = try await client.broker.queueStatus(client.names.suspects(flow: batch.flow))
                #expect(waiting?.ready == jobs, "one task stands for each bulk")
                await provider.answerAll()
                #expect(try await stage.work([flow]).succeeded == 3)
                #expect(await provider.submissions.joined().count == 3)
                #expect(await provider.jobs.values.allSatisfy { !$0.isCancelled && $0.attached == [$0.tasks] })
                #expect(try await outcomeIndices(in: client.events(of: batch.id)).sorted() == [0, 1, 2])
            }
        }
    }

    @Test("Tasks without a memo return to their queue one by one", arguments: BrokerKind.allCases)
    func withoutMemo(kind: BrokerKind) async throws {
        struct Silent: BulkFlow {
            let maximumTasks = 10
            let began: Gauge
            let waits: Bool

            func run(
                _ tasks: [FlowTask],
                resuming memo: BulkMemo?,
                remember: @Sendable (BulkMemo) async throws -> Void,
                ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
            ) async throws {
                #expect(memo == nil)
                for _ in tasks { await began.enter() }
                if waits { try await Task.sleep(for: .seconds(100)) }
                for position in tasks.indices { await ended(position, .success(.value(1))) }
            }

            func discard(_ memo: BulkMemo) async { Issue.record("there is nothing to discard") }
        }
        try await Stage.with(kind) { stage in
            let began = Gauge()
            let (silent, quick) = (Silent(began: began, waits: true), Silent(began: began, waits: false))
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(4))
                let leaving = Task { try await stage.work([FlowDefinition(name: "work", flow: silent)]) }
                try await until("the flow runs") { await began.total == 4 }
                leaving.cancel()
                _ = await leaving.result
                let info = try await client.batch(batch.id.text).info
                #expect(try await client.waiting(in: info) == 4)
                #expect(try await stage.work([FlowDefinition(name: "work", flow: quick)]).succeeded == 4)
                let outcomes = try await client.allResults(batch.id)
                #expect(outcomes.count == 4 && outcomes.allSatisfy { $0.attempts == 1 })
            }
        }
    }

    @Test("Cancelling a batch with its running tasks discards the job", arguments: BrokerKind.allCases)
    func cancelling(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let provider = JobProvider()
            let flow = JobFlow(provider: provider).definition()
            try await stage.client { client in
                let batch = try await client.create(plan(), records: records(4))
                async let working = stage.work([flow])
                try await until("the job is submitted") { await provider.submissions.joined().count == 4 }
                await provider.answer(1)
                try await until("one outcome is there") {
                    try await outcomeIndices(in: client.events(of: batch.id)) == [1]
                }
                _ = try await client.cancel(batch.id.text, now: true)
                _ = try await working
                #expect(await provider.jobs.values.allSatisfy(\.isCancelled))
                let summary = try await client.batch(batch.id.text)
                #expect(summary.status == .cancelled)
                #expect(summary.counts.succeeded == 1 && summary.counts.cancelled == 3)
            }
        }
    }

    @Test("A memo that is too long fails the tasks and names the limit")
    func longMemo() async throws {
        try await Stage.with(.embedded) { stage in
            let flow = JobFlow(
                provider: JobProvider(),
                before: { _, _ in _ = try BulkMemo(Array(repeating: 0, count: 5_000)) }
            )
            let batch = try await stage.client { try await $0.create(plan(), records: records(2)) }
            let definition = flow.definition()
            #expect(try await stage.work([definition]).failed == 2)
            let outcomes = try await stage.client { try await $0.allResults(batch.id) }
            #expect(outcomes.map { $0.error?.type } == ["memo-too-large", "memo-too-large"])
            #expect(outcomes.allSatisfy { $0.error?.message.contains("4096") == true })
        }
    }

    @Test("A task of a bulk is retried by itself", arguments: BrokerKind.allCases)
    func retrying(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let provider = JobProvider(answersAll: true)
            await provider.answer(1, .failure(FlowError(type: "busy", message: "later", isRetryable: true)))
            let flow = JobFlow(
                provider: provider,
                before: { tasks, _ in if tasks.contains(where: { $0.attempt > 1 }) { await provider.answer(1) } }
            )
            let batch = try await stage.client { try await $0.create(plan(), records: records(3)) }
            let definition = flow.definition(retries: 1)
            let report = try await stage.work([definition])
            #expect(report.succeeded == 3 && report.retried == 1)
            #expect(await provider.submissions.last == [1])
            let outcomes = try await stage.client { try await $0.allResults(batch.id, ordered: true) }
            #expect(outcomes.map(\.attempts) == [1, 2, 1])
        }
    }

    @Test("A bulk waits as long as its provider asks for, and stays together")
    func throttled() async throws {
        try await Stage.with(.embedded) { stage in
            let (provider, calls) = (JobProvider(answersAll: true), Gauge())
            let flow = JobFlow(
                provider: provider,
                before: { _, _ in
                    await calls.enter()
                    if await calls.total == 1 { throw FlowThrottle(delay: .milliseconds(300), message: "429") }
                }
            )
            let batch = try await stage.client { try await $0.create(plan(), records: records(3)) }
            let definition = flow.definition()
            #expect(try await stage.work([definition]).succeeded == 3)
            #expect(await calls.total == (await provider.submissions.count) + 1)
            let outcomes = try await stage.client { try await $0.allResults(batch.id) }
            #expect(outcomes.count == 3 && outcomes.allSatisfy { $0.attempts == 1 })
        }
    }
}

import SheafCore
import SheafFlows
import SheafTestSupport
import SheafTestTools
import Testing

@testable import SheafProviders

/// What a flow records about its submissions, and how it follows decisions.
@Suite("Records of submissions", .timeLimit(.minutes(2))) struct SubmissionRecordTests {
    @Test("Each step is recorded, and a worker that takes over records how far it is") func steps() async throws {
        try await BatchServer.with { server in
            let (bench, records) = (SubmissionBench(server), SubmissionRecords())
            try await bench.run(0..<100, stoppingAfter: 2, recorder: records)
            // It was lost with the memo that has the file, before it could record that.
            #expect(records.all.map(\.state) == [.uploading] && records.all.first?.file == nil)
            try await bench.run(0..<100, recorder: records)
            let all = records.all
            #expect(all.map(\.state) == [.ended, .ended])
            #expect(all.first?.requests == 100 && all.first?.results == 98 && all.first?.missing == 2)
            #expect(all.last?.requests == 2 && all.last?.results == 2)
            #expect(all.allSatisfy { $0.id != nil && $0.file != nil && $0.address == server.base })
            let sum = all.reduce(into: 0) { $0 += $1.usage["input_tokens"] }
            #expect(sum == bench.usage["input_tokens"])
        }
    }

    @Test("A refusal, and a discarded submission, are recorded with their reason") func refusals() async throws {
        try await BatchServer.with(["plain": true]) { server in
            let (bench, records) = (SubmissionBench(server), SubmissionRecords())
            try await bench.run(0..<3, by: bench.provider(model: "no-such-model"), recorder: records)
            #expect(records.all.first?.state == .refused)
            #expect(records.all.first?.message.contains("model_not_found") == true)
            try await server.set(["hold": true])
            let (held, discarded) = (SubmissionBench(server), SubmissionRecords())
            try await held.run(0..<3, stoppingAfter: 3, recorder: discarded)
            let flow = SubmissionFlow(try held.provider(), pace: SubmissionPace(longest: .milliseconds(200)))
            await flow.discard(try #require(held.memos.last), SubmissionContext(recorder: discarded))
            await flow.shutDown()
            #expect(try await server.count("cancels") == 1)
            #expect(discarded.all.map(\.state) == [.discarded])
        }
    }

    @Test("An unclear submission waits for the decision which one it is") func decidedToExist() async throws {
        try await BatchServer.with(["plain": true, "lose_create": 1, "junk": ["list": 99]]) { server in
            let (bench, records) = (SubmissionBench(server), SubmissionRecords())
            for _ in 0..<2 { try await bench.run(0..<10, recorder: records) }
            let unclear = try #require(records.all.first)
            #expect(unclear.state == .unclear && unclear.message.contains("not JSON") && records.all.count == 1)
            #expect(records.events(of: "unclear") == 1, "a repeated reason is not recorded again")
            records.record(.resolved(id: "batch_9999"), key: unclear.key)
            try await bench.run(0..<10, recorder: records)
            #expect(records.all.first?.resolution == nil)
            #expect(records.all.first?.rejection.contains("batch_9999") == true)
            records.record(.resolved(id: "batch_0000"), key: unclear.key)
            try await bench.run(0..<10, recorder: records)
            #expect(records.all.map(\.state) == [.ended])
            #expect((0..<10).allSatisfy { bench.results[$0]?.first?.isSuccess == true })
            let log = try await server.log()
            #expect(log["creates"] == 1 && log["paid"] == 10 && log["paid_twice"] == 0)
        }
    }

    @Test("An unclear submission that was not created is submitted again, once") func decidedToBeMissing()
        async throws
    {
        // The upload is accepted, and the first creation never reaches the provider.
        try await BatchServer.with(["plain": true, "junk": ["list": 99]]) { server in
            let (bench, records) = (SubmissionBench(server), SubmissionRecords())
            try await bench.run(0..<10, stoppingAfter: 2, recorder: records)
            try await bench.run(0..<10, recorder: records)
            let unclear = try #require(records.all.first)
            #expect(unclear.state == .unclear)
            records.record(.resolved(id: nil), key: unclear.key)
            // The new submission gets no answer either; the decision was not about that one.
            try await server.set(["lose_create": 1])
            try await bench.run(0..<10, recorder: records)
            #expect(records.all.map(\.state) == [.notCreated, .unclear])
            try await bench.run(0..<10, recorder: records)
            #expect(try await server.count("creates") == 1)
            try await server.set(["junk": ["list": 0]])
            try await bench.run(0..<10, recorder: records)
            #expect(records.all.map(\.state) == [.notCreated, .ended])
            let log = try await server.log()
            #expect(log["creates"] == 1 && log["paid"] == 10 && log["paid_twice"] == 0 && log["files"] == 0)
        }
    }

    @Test("A submission that a user wants to end is cancelled, and what did not run is submitted again")
    func cancelling() async throws {
        try await BatchServer.with(["plain": true, "hold": true]) { server in
            let (bench, records) = (SubmissionBench(server), SubmissionRecords())
            async let running: Void = bench.run(0..<10, recorder: records)
            try await until("it runs") { records.all.first?.state == .running }
            records.record(.cancelRequested, key: try #require(records.all.first).key)
            try await until("it is cancelled") { try await server.count("cancels") > 0 }
            try await server.set(["hold": false])
            try await running
            #expect(records.all.map(\.state) == [.ended, .ended])
            #expect(records.all.map(\.missing) == [10, 0])
            let log = try await server.log()
            #expect(log["cancels"] == 1 && log["creates"] == 2 && log["paid"] == 10 && log["paid_twice"] == 0)
        }
    }

    @Test("An adopted submission gives its results by the ids of the records") func adopting() async throws {
        try await BatchServer.with { server in
            let bench = SubmissionBench(server)
            let tasks = try (0..<100).map { index in
                var task = try SubmissionBench.requestTask(index)
                task.adopted = AdoptedSubmission(id: "batch_0000", isRetry: false)
                return task
            }
            try await bench.submitByHand(tasks)
            // Two bulks have a part of it each.
            try await bench.run(tasks: Array(tasks[..<60]))
            let rest = SubmissionBench(server)
            try await rest.run(tasks: Array(tasks[60...]), stoppingAfter: 1)
            try await rest.run(tasks: Array(tasks[60...]))
            #expect(bench.results.count == 60 && rest.results.count == 40)
            #expect(bench.error(3)?.type == "http-400" && bench.error(7)?.type == "http-500")
            let log = try await server.log()
            // 11 had no result in the adopted one, nor had 61.
            #expect(log["creates"] == 3 && log["paid_twice"] == 2, "\(log)")
            var again = tasks[7]
            again.adopted?.isRetry = true
            let retry = SubmissionBench(server)
            try await retry.run(tasks: [again])
            #expect(retry.results[7]?.first?.isSuccess == true, "an error is not taken for the result twice")
            #expect(try await server.count("creates") == 4)
        }
    }

    @Test("The requests of a submission can be downloaded as long as the provider has them") func downloading()
        async throws
    {
        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server)
            let tasks = try (0..<3).map(SubmissionBench.requestTask)
            let file = try await bench.submitByHand(tasks)
            let flow = SubmissionFlow(try bench.provider(), pace: SubmissionPace(longest: .milliseconds(200)))
            let spool = try SpoolFile()
            try await flow.downloadRequests(of: "batch_0000", to: spool.descriptor)
            var lines: [[UInt8]] = []
            try await spool.readLines(atMost: 1 << 20) { line, _ in lines.append(line) }
            #expect(lines == tasks.map(\.record.bytes))
            func failure(_ id: String) async -> String? {
                do {
                    try await flow.downloadRequests(of: id, to: SpoolFile().descriptor)
                    return nil
                } catch {
                    return (error as? FlowError)?.message
                }
            }
            #expect(await failure("batch_9999")?.contains("No batch found") == true)
            #expect(await failure("a/../b")?.contains("is not the id of a batch") == true)
            try await bench.provider().remove(file)
            #expect(await failure("batch_0000")?.contains("no longer exists") == true)
            await flow.shutDown()
        }
    }
}

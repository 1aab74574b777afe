import SheafCore
import SheafFlows
import SheafTestTools
import Testing

@testable import SheafProviders

/// Submissions of which it is unclear whether the provider has them.
@Suite("Unclear submissions", .timeLimit(.minutes(2))) struct UnclearSubmissionTests {
    /// Checks that the tasks have one success each.
    private func complete(_ bench: SubmissionBench, _ tasks: Range<Int>, at place: SourceLocation = #_sourceLocation) {
        let results = bench.results.filter { $0.key >= 0 }
        #expect(Set(results.keys) == Set(tasks), sourceLocation: place)
        #expect(results.values.allSatisfy { $0.count == 1 && $0[0].isSuccess }, sourceLocation: place)
    }

    @Test("If every tenth creation loses its answer, nothing is paid for twice", arguments: ProviderKind.allCases)
    func everyTenthCreation(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true, "lose_every": 10]) { server in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<4 {
                    group.addTask {
                        for round in 0..<10 {
                            let first = (worker * 10 + round) * 5
                            let bench = SubmissionBench(server, kind)
                            try await bench.runToTheEnd(first..<(first + 5))
                            complete(bench, first..<(first + 5))
                        }
                    }
                }
                try await group.waitForAll()
            }
            let log = try await server.log()
            #expect(log["creates"] == 40 && log["paid"] == 200 && log["paid_twice"] == 0)
        }
    }

    @Test("Without a handle, tasks wait for batches that may be their submission, whose ids are named")
    func candidates() async throws {
        try await BatchServer.with(["plain": true, "hold": true, "lose_create": 1]) { server in
            let bench = SubmissionBench(server, .anthropic)
            for _ in 0..<2 {
                try await bench.run(0..<5)
                let message = try #require(bench.throttle(0))
                #expect(message.contains("with 5 requests is unclear") && message.contains("one of msgbatch_0000. "))
            }
            try await server.set(["hold": false])
            try await bench.runToTheEnd(0..<5)
            complete(bench, 0..<5)
            #expect(try await server.count("creates") == 1)
        }
    }

    @Test("Without a handle, a submission that was not created is submitted when no batch can be it any longer")
    func othersBatches() async throws {
        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server, .anthropic)
            try await bench.run(0..<5, stoppingAfter: 2)
            try await server.set(["hold": true])
            let other = SubmissionBench(server, .anthropic)
            try await other.run(5..<10, stoppingAfter: 3)
            try await bench.run(0..<5)
            #expect(bench.throttle(0)?.contains("one of msgbatch_0000. ") == true)
            try await server.set(["hold": false])
            try await bench.runToTheEnd(0..<5)
            complete(bench, 0..<5)
            try await other.run(5..<10)
            complete(other, 5..<10)
            let log = try await server.log()
            #expect(log["creates"] == 2 && log["paid"] == 10 && log["paid_twice"] == 0)
        }
    }

    @Test("Without a handle, a submission that its provider lists late is found") func lateList() async throws {
        try await BatchServer.with(["plain": true, "lose_create": 1, "late_list": 6]) { server in
            let bench = SubmissionBench(server, .anthropic)
            try await bench.runToTheEnd(0..<5)
            complete(bench, 0..<5)
            #expect(try await server.count("creates") == 1)
        }
    }

    @Test("It can be decided which submission is meant, or that it was not created", arguments: ProviderKind.allCases)
    func decisions(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server, kind)
            try await bench.run(0..<5, stoppingAfter: 3)
            // The memo before the provider's id was known.
            let unclear = try #require(bench.memos.dropLast().last)
            let decided = SubmissionBench(server, kind, memo: unclear)
            try await decided.run(0..<5, recorder: records(of: unclear, decided: "\(kind.prefix)0000"))
            complete(decided, 0..<5)
            #expect(try await server.count("creates") == 1)

            let lost = SubmissionBench(server, kind)
            try await lost.run(5..<10, stoppingAfter: 2)
            let last = try #require(lost.memos.last)
            let again = SubmissionBench(server, kind, memo: last)
            try await again.run(5..<10, recorder: records(of: last, decided: nil))
            complete(again, 5..<10)
            #expect(try await server.count("creates") == 2)
        }
    }

    /// The log of an unclear submission, about which a user has decided.
    private func records(of memo: BulkMemo, decided id: String?) throws -> SubmissionRecords {
        let (records, memo) = (SubmissionRecords(), try #require(SubmissionMemo(memo)))
        for event in [.announced(address: memo.address), .unclear("no answer"), .resolved(id: id)]
            as [SubmissionEntry.Event]
        {
            records.record(event, key: memo.key)
        }
        return records
    }

    @Test("The path of results, and another version of the API with the key as a bearer, are understood")
    func versions() async throws {
        try await BatchServer.with(["plain": true, "relative": true]) { server in
            let bench = SubmissionBench(server, .anthropic)
            let flow = try ChatFlow(
                provider: .anthropic,
                baseURL: server.url,
                model: "m",
                messages: [["role": "user", "content": "{{n}}"]],
                options: ["temperature": 0],
                headers: [("anthropic-version", "2026-10-21"), ("Authorization", "Bearer ${KEY}")],
                variables: ["KEY": BatchServer.key]
            )
            try await bench.run(0..<1, by: AnthropicBatches(flow))
            #expect(bench.error(0)?.type == "http-400")
            #expect(bench.error(0)?.message.hasSuffix("temperature: Extra inputs are not permitted") == true)
        }
    }
}

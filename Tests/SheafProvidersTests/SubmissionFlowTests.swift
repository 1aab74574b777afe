import SheafCore
import SheafFlows
import SheafTestTools
import Testing

@testable import SheafProviders

/// Submissions of a worker that is lost at any time, and of a provider that answers badly.
@Suite("Submissions", .timeLimit(.minutes(2))) struct SubmissionFlowTests {
    /// Checks that each of the tasks has one success, and that the server was paid once for each.
    private func complete(
        _ bench: SubmissionBench,
        _ tasks: Range<Int>,
        creates: Int,
        at place: SourceLocation = #_sourceLocation
    ) async throws {
        let results = bench.results.filter { $0.key >= 0 }
        #expect(Set(results.keys) == Set(tasks), sourceLocation: place)
        #expect(results.values.allSatisfy { $0.count == 1 && $0[0].isSuccess }, sourceLocation: place)
        let log = try await bench.server.log()
        #expect(log["creates"]?.intValue == creates, sourceLocation: place)
        #expect(log["paid"]?.intValue == tasks.count && log["paid_twice"] == 0, "\(log)", sourceLocation: place)
        #expect(log["files"] == 0, "the uploaded requests are deleted", sourceLocation: place)
        #expect(bench.usage["input_tokens"] == tasks.reduce(0) { $0 + $1 + 1 }, sourceLocation: place)
        #expect(bench.usage["output_tokens"] == tasks.reduce(0) { $0 + $1 % 7 + 1 }, sourceLocation: place)
    }

    @Test(
        "The results are those of the live flow, and of what has no result a further submission is made",
        arguments: ProviderKind.allCases
    ) func resultsAreThoseOfTheLiveFlow(kind: ProviderKind) async throws {
        try await BatchServer.with { server in
            let bench = SubmissionBench(server, kind)
            try await bench.runToTheEnd(0..<200)
            #expect(bench.results.count == 200)
            let log = try await server.log()
            #expect(log["creates"] == 2 && log["uploads"]?.intValue == (kind.hasFiles ? 2 : 0))
            // 11, 61, 111 and 161 were answered, but their results were lost.
            #expect(log["paid_twice"] == 4)
            #expect(bench.error(3)?.type == "http-400" && bench.error(3)?.isRetryable == false)
            #expect(bench.error(7)?.type == "http-500" && bench.error(7)?.isRetryable == true)
            let live = try bench.chat()
            for index in [0, 3, 11, 199] {
                var alone: AttemptResult?
                do {
                    alone = .success(try await live.run(SubmissionBench.task(index)))
                } catch let error as FlowError {
                    alone = .failure(error)
                }
                #expect(bench.results[index] == [try #require(alone)])
            }
            await live.shutDown()
        }
    }

    @Test(
        "A worker that is lost after any memo leaves a submission that the next one finds",
        arguments: ProviderKind.allCases,
        1...3
    ) func workersAreLost(kind: ProviderKind, memos: Int) async throws {
        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server, kind)
            try await bench.run(0..<50, stoppingAfter: memos)
            #expect(bench.memos.count == memos && bench.results.isEmpty)
            try await bench.run(0..<50)
            try await complete(bench, 0..<50, creates: 1)
        }
    }

    @Test(
        "A submission whose creation got no usable answer is found",
        arguments: ProviderKind.allCases,
        ["lose_create", "junk", "errors"]
    ) func answersAreLost(kind: ProviderKind, fault: String) async throws {
        try await BatchServer.with(["plain": true]) { server in
            let options: [String: JSONValue] = [
                "lose_create": ["lose_create": 1], "junk": ["junk": ["create": 1]], "errors": ["errors": ["create": 1]],
            ]
            try await server.set(try #require(options[fault]))
            let bench = SubmissionBench(server, kind)
            try await bench.runToTheEnd(0..<50)
            try await complete(bench, 0..<50, creates: 1)
        }
    }

    @Test(
        "While the list is unreadable, an unclear submission is not made again",
        arguments: ProviderKind.allCases
    ) func unreadableList(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true, "lose_create": 1]) { server in
            let bench = SubmissionBench(server, kind)
            try await bench.run(0..<10, stoppingAfter: 2)
            try await server.set(["junk": ["list": 2]])
            try await bench.run(0..<10)
            #expect(bench.throttle(0)?.contains("may have been accepted") == true)
            try await bench.run(0..<10)
            #expect(bench.results.keys.allSatisfy { $0 < 0 })
            #expect(try await server.count("creates") == 0)
            try await bench.runToTheEnd(0..<10)
            try await complete(bench, 0..<10, creates: 1)
        }
    }

    @Test(
        "A full quota is waited for, however it is reported",
        arguments: ProviderKind.allCases
    ) func fullQuota(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true, "token_limit": 2, "quota_400": 1, "throttle": 1]) { server in
            let bench = SubmissionBench(server, kind)
            let full = kind == .anthropic ? "the queue of requests is full" : "Enqueued token limit reached"
            let reasons =
                kind.refusesAtOnce
                ? [full, full, "too many batches"]
                : ["too many batches", "token_limit_exceeded", "Enqueued token limit reached"]
            for reason in reasons {
                try await bench.run(0..<10)
                #expect(bench.throttle(0)?.contains(reason) == true)
            }
            try await bench.runToTheEnd(0..<10)
            try await complete(bench, 0..<10, creates: kind.refusesAtOnce ? 1 : 3)
        }
    }

    @Test(
        "Results that are cut off, or no results at all, are read again",
        arguments: ProviderKind.allCases
    ) func damagedResults(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true, "cut_download": 1, "junk": ["download": 1]]) { server in
            let bench = SubmissionBench(server, kind)
            try await bench.run(0..<60)
            try await complete(bench, 0..<60, creates: 1)
            #expect(try await server.count("downloads") == (kind.provider == .azure ? 6 : 3), "Azure has an empty file")
        }
    }

    @Test(
        "Results that stay unreadable are waited for and not bought again",
        arguments: ProviderKind.allCases
    ) func unreadableResults(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true, "junk": ["download": 4]]) { server in
            let bench = SubmissionBench(server, kind)
            try await bench.run(0..<5)
            #expect(bench.throttle(0)?.contains("cannot read the results") == true)
            try await bench.run(0..<5)
            try await complete(bench, 0..<5, creates: 1)
        }
    }

    @Test(
        "An expired submission gives up its results, and the rest is submitted again",
        arguments: ProviderKind.allCases
    ) func expiry(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true, "expire": 1]) { server in
            let bench = SubmissionBench(server, kind)
            try await bench.run(0..<40)
            try await complete(bench, 0..<40, creates: kind.expires ? 2 : 1)
        }
    }

    @Test(
        "Results of an earlier submission that were not stored are read again, not bought again",
        arguments: ProviderKind.allCases.filter(\.expires)
    ) func earlierResults(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true, "expire": 1]) { server in
            let bench = SubmissionBench(server, kind)
            // Key, file, id, key of the second submission: the worker is lost before its results were stored.
            try await bench.run(0..<40, stoppingAfter: 4)
            let second = SubmissionBench(server, continuing: bench)
            try await second.run(0..<40)
            try await complete(second, 0..<40, creates: 2)
        }
    }

    @Test(
        "A failing poll is repeated, and a submission that does not exist is not made again",
        arguments: ProviderKind.allCases
    ) func polls(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true, "fail_poll": 2, "junk": ["poll": 1]]) { server in
            let bench = SubmissionBench(server, kind)
            try await bench.run(0..<5)
            try await complete(bench, 0..<5, creates: 1)
            let lost = SubmissionBench(server, kind)
            try await lost.run(5..<6, stoppingAfter: 3)
            var memo = try #require(lost.memos.last.flatMap(SubmissionMemo.init))
            memo.id = "\(kind.prefix)9999"
            let gone = SubmissionBench(server, kind, memo: try memo.bulkMemo)
            try await gone.run(5..<6)
            #expect(gone.error(5)?.type == "submission-gone" && gone.error(5)?.isRetryable == false)
            #expect(try await server.count("creates") == 2)
        }
    }

    @Test("Each submission has one model, and no more requests and bytes than the provider takes") func splitting()
        async throws
    {
        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server)
            let models = try bench.provider(model: "m{{odd}}")
            try await bench.run(0..<20, by: models)
            try await complete(bench, 0..<20, creates: 2)
            let small = SubmissionBench(server)
            let bytes = try models.encode(SubmissionBench.task(20), id: String(repeating: "x", count: 34)).bytes.count
            let limits = BatchLimits(requests: 3, inputs: 100, bytes: bytes * 2 + 40)
            try await small.run(20..<26, by: small.provider(limits: limits))
            #expect(small.results.values.allSatisfy { $0[0].isSuccess } && small.results.count == 6)
            #expect(try await server.count("creates") == 5)
            let tiny = SubmissionBench(server)
            try await tiny.run(30..<31, by: tiny.provider(limits: BatchLimits(requests: 3, inputs: 1, bytes: 20)))
            #expect(tiny.error(30)?.type == "request-too-large")
            #expect(try await server.count("creates") == 5)
        }
    }

    @Test("What the provider refuses as a whole fails with its reason, and nothing is submitted again") func refusals()
        async throws
    {
        try await BatchServer.with { server in
            let bench = SubmissionBench(server)
            try await bench.run(0..<3, by: bench.provider(model: "no-such-model"))
            #expect(bench.error(0)?.type == "submission-failed")
            #expect(bench.error(0)?.message.contains("model_not_found: there is no such model") == true)
            let wrong = SubmissionBench(server)
            try await wrong.run(0..<3, by: wrong.provider(key: "sk-wrong"))
            #expect(wrong.results[0] == nil)
            let refusal = try #require(wrong.throttle(0))
            #expect(refusal.contains("answered 401") && !refusal.contains("sk-wrong"))
            try await server.set(["junk": ["upload": 3]])
            let html = SubmissionBench(server)
            try await html.run(0..<3)
            #expect(html.results[0] == nil && html.throttle(0)?.contains("with a body that is not JSON") == true)
            #expect(try await server.count("creates") == 1)
            try await html.run(0..<3)
            #expect(html.results.count == 6 && html.results[0]?.first?.isSuccess == true)
        }
    }

    @Test(
        "A submission that takes too long is cancelled, and one at another address is left alone",
        arguments: ProviderKind.allCases
    ) func endings(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true, "hold": true]) { server in
            let bench = SubmissionBench(server, kind)
            // It must have been created before the time is over.
            try await bench.run(0..<3, stoppingAfter: kind.memos)
            try await bench.run(0..<3, timeout: .milliseconds(400))
            #expect(bench.error(0)?.type == "timeout")
            #expect(try await server.count("cancels") == 1)
            var memo = SubmissionMemo(address: "http://elsewhere")
            memo.id = "\(kind.prefix)0000"
            let other = SubmissionBench(server, kind, memo: try memo.bulkMemo)
            try await other.run(0..<1)
            #expect(other.throttle(0)?.contains("was made at http://elsewhere") == true)
        }
    }

    @Test("Embeddings are submitted in bulk too") func embeddings() async throws {
        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server)
            let flow = try EmbeddingFlow(
                baseURL: server.base,
                key: "${KEY}",
                model: "e",
                input: ["{{n}}", "8"],
                variables: ["KEY": BatchServer.key]
            )
            try await bench.run(0..<3, by: OpenAIBatches(flow))
            guard case .success(let output) = bench.results[2]?.first else {
                Issue.record("no output")
                return
            }
            let json = try JSON.parse(output.json)
            #expect(json["embeddings"]?.arrayValue?.compactMap { $0.arrayValue?.first?.doubleValue } == [2, 8])
            #expect(output.usage["input_tokens"] == 3)
        }
    }
}

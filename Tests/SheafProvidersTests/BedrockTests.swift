import SheafCore
import SheafTestTools
import Testing

@testable import SheafFlows
@testable import SheafProviders

/// What is special about Bedrock: signatures, S3, the smallest job and two kinds of models.
@Suite("Bedrock", .timeLimit(.minutes(2))) struct BedrockTests {
    private static func flow(
        _ server: BatchServer,
        model: String = "m",
        options: JSONValue = [:],
        change: (inout CloudOptions) -> Void = { _ in }
    ) throws -> ChatFlow {
        var cloud = ProviderKind.bedrock.cloud(server, key: BatchServer.key)
        change(&cloud)
        return try ChatFlow(
            provider: .bedrock,
            baseURL: server.url,
            cloud: cloud,
            model: model,
            messages: [["role": "user", "content": "{{n}}"]],
            options: options
        )
    }

    @Test(
        "A submission has the results of the live flow, for models with Messages and with Converse",
        arguments: ["us.anthropic.claude-x-v1:0", "amazon.nova-x-v1:0"]
    ) func models(model: String) async throws {
        try await BatchServer.with(["plain": true, "manifest_only": true]) { server in
            let flow = try Self.flow(server, model: model, options: ["max_tokens": 9])
            let bench = SubmissionBench(server, .bedrock)
            try await bench.run(0..<300, by: BedrockBatches(flow))
            #expect(bench.results.count == 300 && bench.results.values.allSatisfy { $0.count == 1 && $0[0].isSuccess })
            #expect(bench.usage["input_tokens"] == (0..<300).reduce(0) { $0 + $1 + 1 })
            let live = try Self.flow(server, model: model, options: ["max_tokens": 9])
            let alone = try await live.run(SubmissionBench.task(7))
            #expect(bench.results[7] == [.success(alone)])
            await live.shutDown()
            let log = try await server.log()
            #expect(log["creates"] == 1 && log["files"] == 0 && log["paid_twice"] == 1)
        }
    }

    @Test("A second creation with the same key has no effect")
    func idempotence() async throws {
        try await BatchServer.with(["plain": true, "hold": true]) { server in
            let provider = try SubmissionBench(server, .bedrock).provider()
            let line = try provider.encode(SubmissionBench.task(1), id: "key_1")
            let spool = try SpoolFile()
            var writer = SpoolFile.Writer(spool)
            try writer.add(line.bytes)
            try writer.flush()
            let requests = BatchRequests(spool: spool, size: writer.size, count: 1, model: "m")
            let preparation = try await provider.prepare(requests, key: "key")
            let first = try await provider.create(preparation, requests, key: "key", batch: "b")
            let second = try await provider.create(preparation, nil, key: "key", batch: "b")
            #expect(first.id == second.id)
            #expect(try await server.count("creates") == 1)
            await provider.shutDown()
        }
    }

    @Test("A submission that is too small for Bedrock fails with advice, before it is uploaded")
    func tooSmall() async throws {
        try await BatchServer.with(["plain": true, "minimum": 100]) { server in
            let bench = SubmissionBench(server, .bedrock)
            try await bench.run(0..<99, by: BedrockBatches(Self.flow(server) { $0.minimumRecords = nil }))
            let error = try #require(bench.error(0))
            #expect(error.type == "submission-too-small" && !error.isRetryable)
            #expect(error.message.contains("99 requests") && error.message.contains("fewer than 100"))
            #expect(error.message.contains("minimum_records"))
            #expect(try await server.count("uploads") == 0)
            // The quota of the account is another than the configured one.
            let wrong = SubmissionBench(server, .bedrock)
            try await wrong.run(0..<99)
            #expect(wrong.error(0)?.type == "http-400")
            #expect(wrong.error(0)?.message.contains("fewer than the quota of 100") == true)
            #expect(try await server.count("files") == 0)
            let right = SubmissionBench(server, .bedrock)
            try await right.run(0..<100, by: BedrockBatches(Self.flow(server) { $0.minimumRecords = nil }))
            #expect(right.results.count == 100 && right.results.values.allSatisfy { $0[0].isSuccess })
        }
    }

    @Test("Tools fail alone with Converse, since Bedrock takes none in bulk")
    func tools() async throws {
        try await BatchServer.with { server in
            let tool: JSONValue = ["type": "function", "function": ["name": "look", "parameters": ["type": "object"]]]
            let flow = try Self.flow(server, options: ["tools": [tool]])
            let error = #expect(throws: FlowError.self) {
                try BedrockBatches(flow).encode(SubmissionBench.task(1), id: "a")
            }
            #expect(error?.type == "template" && error?.message.contains("tools") == true)
            await flow.shutDown()
        }
    }

    @Test("A session token is sent and signed, and a clock that is a day behind is corrected")
    func credentials() async throws {
        try await BatchServer.with(["plain": true, "token": "session", "clock": 86_400]) { server in
            let flow = try Self.flow(server) { $0.sessionToken = "session" }
            let bench = SubmissionBench(server, .bedrock)
            try await bench.run(0..<5, by: BedrockBatches(flow))
            #expect(bench.results.values.allSatisfy { $0[0].isSuccess } && bench.results.count == 5)
            let without = try Self.flow(server)
            let error = await #expect(throws: FlowThrottle.self) { try await without.run(SubmissionBench.task(1)) }
            #expect(error?.needsPeople == true && error?.message.contains("security token") == true)
            await without.shutDown()
        }
    }

    @Test("A wrong secret is refused, by S3 and by Bedrock")
    func wrongSecret() async throws {
        try await BatchServer.with { server in
            let flow = try Self.flow(server) { $0.secretKey = "wrong" }
            let error = await #expect(throws: FlowThrottle.self) { try await flow.run(SubmissionBench.task(1)) }
            #expect(error?.needsPeople == true && error?.message.contains("does not match") == true)
            let bench = SubmissionBench(server, .bedrock)
            try await bench.run(0..<1, by: BedrockBatches(flow))
            #expect(bench.results[0] == nil && bench.throttle(0)?.contains("SignatureDoesNotMatch") == true)
        }
    }

    @Test("Rows are read, whatever they fail with")
    func rows() {
        func row(_ line: String) -> BatchRow.Content? { BedrockBatches.row(Array(line.utf8))?.content }
        #expect(
            row(#"{"recordId":"a","modelInput":{},"modelOutput":{"x":1}}"#) == .answer(status: 200, body: ["x": 1])
        )
        for code in ["400", "\"400\""] {
            let line = #"{"recordId":"a","modelInput":{},"error":{"errorCode":\#(code),"errorMessage":"bad"}}"#
            #expect(row(line) == .answer(status: 400, body: ["message": "bad"]))
        }
        let odd = row(#"{"recordId":"a","error":{"errorCode":"Odd","errorMessage":"no"}}"#)
        guard case .failure(let error)? = odd else {
            Issue.record("no failure")
            return
        }
        #expect(error.type == "request-failed" && error.message.hasSuffix(": Odd: no"))
        let others = [
            "", "{}", #"{"recordId":"a"}"#, #"{"recordId":1,"modelOutput":{}}"#, #"{"recordId":"a","error":"x"}"#,
        ]
        for line in others { #expect(row(line) == nil, "\(line)") }
    }

    @Test("States are read, and a job that has completed has results, whatever it counts")
    func states() {
        func state(_ word: String, _ more: [String: JSONValue] = [:]) -> SubmissionState? {
            var json: JSONValue = [
                "jobArn": "arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/abc", "status": .string(word),
                "inputDataConfig": ["s3InputDataConfig": ["s3Uri": "s3://in/a/requests.jsonl"]],
                "outputDataConfig": ["s3OutputDataConfig": ["s3Uri": "s3://out/b"]],
            ]
            for (key, value) in more { json.set(key, to: value) }
            return BedrockBatches.state(json)
        }
        for word in ["Submitted", "Validating", "Scheduled", "InProgress", "Stopping", "Odd"] {
            #expect(state(word)?.phase == .running && state(word)?.files == [])
        }
        for word in ["Completed", "PartiallyCompleted"] {
            #expect(state(word)?.phase == .ended && state(word)?.counted == 1 && state(word)?.id == "abc")
            #expect(state(word)?.files == ["s3://out/b/abc/requests.jsonl.out"])
        }
        #expect(state("Stopped")?.counted == 0 && state("Expired", ["processedRecordCount": 5])?.counted == 5)
        #expect(state("Failed", ["message": "too bad"])?.phase == .refused("too bad"))
        #expect(BedrockBatches.state(["jobArn": "x", "status": "Completed"]) == nil)
    }
}

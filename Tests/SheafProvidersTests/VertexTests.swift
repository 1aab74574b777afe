import Foundation
import SheafCore
import SheafTestTools
import Testing

@testable import SheafFlows
@testable import SheafProviders

/// What is special about Vertex AI: tokens of service accounts, the importer, shards and two publishers.
@Suite("Vertex AI", .timeLimit(.minutes(2))) struct VertexTests {
    private static let account = "worker@tests.iam.gserviceaccount.com"

    /// Runs the body with a flow that authenticates as a service account, whose key the server knows.
    private func with(
        _ options: JSONValue = [:],
        model: String = "m",
        account: String = Self.account,
        _ body: @escaping @Sendable (ChatFlow, BatchServer) async throws -> Void
    ) async throws {
        try await BatchServer.with(options) { server in
            try await Workbench.with(configuration: "") { bench in
                let made = try await bench.shell(
                    """
                    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>&1 ||
                    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem
                    openssl rsa -in key.pem -noout -modulus
                    """
                )
                let modulus = made.output.split(separator: "=").last.map(String.init) ?? ""
                try await server.set([
                    "vertex_key": ["n": .string(modulus.trimmingCharacters(in: .newlines)), "e": 65_537]
                ])
                let pem = try String(contentsOfFile: "\(bench.folder)/key.pem", encoding: .utf8)
                let file: JSONValue = [
                    "type": "service_account", "client_email": .string(account), "private_key": .string(pem),
                    "private_key_id": "1", "token_uri": .string("\(server.url)/token"),
                ]
                try bench.write(String(decoding: file.bytes, as: UTF8.self), to: "account.json")
                var cloud = ProviderKind.vertex.cloud(server, key: "")
                cloud.credentials = "\(bench.folder)/account.json"
                let flow = try ChatFlow(
                    provider: .vertex,
                    baseURL: server.url,
                    cloud: cloud,
                    model: model,
                    messages: [["role": "user", "content": "{{n}}"]]
                )
                do {
                    try await body(flow, server)
                    await flow.shutDown()
                } catch {
                    await flow.shutDown()
                    throw error
                }
            }
        }
    }

    private static func text(_ flow: ChatFlow, _ index: Int) async throws -> String? {
        try JSON.parse(try await flow.run(SubmissionBench.task(index)).json)["content"]?.stringValue
    }

    @Test("Calls at the same time share one token, and a token is renewed before it expires")
    func tokens() async throws {
        try await with(["plain": true, "token_time": 3_600]) { flow, server in
            try await withThrowingTaskGroup(of: String?.self) { group in
                for index in 0..<20 { group.addTask { try await Self.text(flow, index) } }
                for try await text in group { #expect(text?.hasPrefix("m: ") == true) }
            }
            #expect(try await server.count("tokens") == 1)
        }
        try await with(["plain": true, "token_time": 3_600, "token_says": 0]) { flow, server in
            for index in 0..<3 {
                let text = try await Self.text(flow, index)
                #expect(text == "m: \(index)")
            }
            #expect(try await server.count("tokens") == 3)
        }
    }

    @Test("A token that is refused is replaced, once")
    func refusedTokens() async throws {
        try await with(["plain": true, "token_time": 0, "token_says": 3_600]) { flow, server in
            let error = await #expect(throws: FlowThrottle.self) { try await Self.text(flow, 1) }
            #expect(error?.message.contains("answered 401") == true && error?.message.contains("ya29") == false)
            #expect(try await server.count("tokens") == 2)
            try await server.set(["token_time": 3_600])
            #expect(try await Self.text(flow, 2) == "m: 2")
            #expect(try await server.count("tokens") == 3)
        }
    }

    @Test("A clock that is a day behind that of the service is corrected")
    func clock() async throws {
        try await with(["plain": true, "clock": 86_400]) { flow, server in
            let text = try await Self.text(flow, 1)
            #expect(text == "m: 1")
            #expect(try await server.count("tokens") == 2)
        }
    }

    @Test("An account that gets no token is reported, and a service that is down may be asked again")
    func noToken() async throws {
        try await with(account: "other@tests.iam.gserviceaccount.com") { flow, _ in
            let error = try #require(await #expect(throws: FlowError.self) { try await Self.text(flow, 1) })
            #expect(error.type == "credentials" && !error.isRetryable)
            #expect(error.message.hasPrefix("other@tests.iam.gserviceaccount.com gets no token: POST http://127"))
            #expect(error.message.hasSuffix("/token answered 400 Bad Request: Invalid grant: account not found"))
        }
        try await with(["plain": true, "fail_token": 1]) { flow, _ in
            let error = try #require(await #expect(throws: FlowError.self) { try await Self.text(flow, 1) })
            #expect(error.type == "http-503" && error.isRetryable)
            #expect(try await Self.text(flow, 1) == "m: 1")
        }
    }

    @Test(
        "A submission with a service account has the results of all shards, for models of Google and Anthropic",
        arguments: ["m", "claude-x"]
    ) func shards(model: String) async throws {
        try await with(["plain": true, "late_output": 1], model: model) { flow, server in
            let bench = SubmissionBench(server, .vertex)
            try await bench.run(0..<500, by: VertexBatches(flow))
            #expect(bench.results.count == 500 && bench.results.values.allSatisfy { $0.count == 1 && $0[0].isSuccess })
            #expect(bench.usage["input_tokens"] == (0..<500).reduce(0) { $0 + $1 + 1 })
            #expect(bench.usage["output_tokens"] == (0..<500).reduce(0) { $0 + $1 % 7 + 1 })
            let log = try await server.log()
            #expect(log["creates"] == 1 && log["tokens"] == 1 && log["files"] == 0)
            #expect(log["downloads"] == 3, "there are three shards with rows")
            let alone = try await flow.run(SubmissionBench.task(7))
            #expect(bench.results[7] == [.success(alone)])
        }
    }

    @Test("A request that would fail the whole submission fails alone")
    func imports() async throws {
        func problem(_ body: JSONValue, id: String = "sheaf_1") -> String? {
            VertexImport.problem(of: ["custom_id": .string(id), "request": body], id: id)
        }
        func nested(_ depth: Int) -> JSONValue { depth == 0 ? "x" : ["a": nested(depth - 1)] }
        #expect(problem(["contents": [["role": "user", "parts": [["text": "has $defs and {}"]]]]]) == nil)
        #expect(problem(["a": [["b": ["$defs": 1]]]])?.contains("'request.a.b.$defs'") == true)
        #expect(problem(["first name": 1])?.contains("'request.first name'") == true)
        #expect(problem(["": 1]) != nil)
        #expect(problem(["a": [[:]]]) == "request.a is an empty object")
        #expect(problem(["a": ["type": ["string", "null"]]]) == "request.a.type is a list of types")
        #expect(problem(nested(13)) == nil && problem(nested(14)) == nil)
        #expect(problem(nested(15))?.contains("more than 15 objects") == true)
        #expect(problem([:]) != nil)
        for id in ["12", "1e5", "-0.5", "nan"] { #expect(problem(["a": 1], id: id) != nil, "\(id)") }

        try await BatchServer.with(["plain": true]) { server in
            let bench = SubmissionBench(server, .vertex)
            let flow = try ChatFlow(
                provider: .vertex,
                baseURL: server.url,
                cloud: ProviderKind.vertex.cloud(server, key: ""),
                key: BatchServer.key,
                model: "m",
                messages: [["role": "user", "content": "{{n}}"]],
                options: ["generationConfig": "{{schema}}"]
            )
            let tasks = (0..<3).map { index in
                let schema = index == 1 ? #"{"responseSchema": {"$defs": {"a": 1}}}"# : #"{"temperature": 0}"#
                return FlowTask(
                    batch: "b1",
                    index: index,
                    record: Record(
                        id: "r\(index)",
                        kind: .json,
                        bytes: Array(#"{"n": "\#(index)", "schema": \#(schema)}"#.utf8)
                    )
                )
            }
            try await bench.run(tasks: tasks, by: VertexBatches(flow))
            await flow.shutDown()
            #expect(bench.results[0]?.first?.isSuccess == true && bench.results[2]?.first?.isSuccess == true)
            #expect(bench.error(1)?.type == "template")
            #expect(bench.error(1)?.message.contains("Vertex AI would refuse the whole submission") == true)
        }
    }

    @Test("Rows are read, whatever they fail with")
    func rows() {
        func row(_ line: String) -> BatchRow.Content? { VertexBatches.row(Array(line.utf8))?.content }
        #expect(
            row(#"{"custom_id":"a","status":"","request":{},"response":{"candidates":[]}}"#)
                == .answer(status: 200, body: ["candidates": []])
        )
        let refused = #"{"custom_id":"a","status":"Bad Request: {\"error\": {\"code\": 400, \"message\": \"no\"}}"}"#
        #expect(row(refused) == .answer(status: 400, body: ["error": ["code": 400, "message": "no"]]))
        guard case .failure(let internalError)? = row(#"{"custom_id":"a","status":"Internal error","response":{}}"#),
            case .failure(let unknown)? = row(#"{"custom_id":"a","status":"Blocked","response":null}"#)
        else {
            Issue.record("no failures")
            return
        }
        #expect(internalError.isRetryable && !unknown.isRetryable && unknown.type == "request-failed")
        #expect(row(#"{"custom_id":"a","status":"CANCELLED: stopped"}"#) == .notRun)
        let others = [
            "", "{}", #"{"custom_id":"a"}"#, #"{"custom_id":7,"response":{"a":1}}"#,
            #"{"custom_id":"a","response":{}}"#,
        ]
        for line in others { #expect(row(line) == nil, "\(line)") }
    }

    @Test("States are read, and an error decides whether the same requests may be accepted later")
    func states() {
        func state(_ word: String, _ more: [String: JSONValue] = [:]) -> SubmissionState? {
            var json: JSONValue = ["name": "projects/1/locations/l/batchPredictionJobs/7", "state": .string(word)]
            for (key, value) in more { json.set(key, to: value) }
            return VertexBatches.state(json)
        }
        for word in ["JOB_STATE_QUEUED", "JOB_STATE_PAUSED", "JOB_STATE_CANCELLING", "JOB_STATE_NEW", ""] {
            #expect(state(word)?.phase == .running)
        }
        let failed = state("JOB_STATE_FAILED", ["error": ["code": 13, "message": "Retrying may solve the problem"]])
        #expect(failed?.phase == .refusedForNow("Retrying may solve the problem"))
        #expect(state("JOB_STATE_FAILED", ["error": ["code": 3, "message": "bad"]])?.phase == .refused("bad"))
        let done = state(
            "JOB_STATE_PARTIALLY_SUCCEEDED",
            [
                "completionStats": ["successfulCount": "3", "failedCount": "1", "incompleteCount": "-1"],
                "outputInfo": ["gcsOutputDirectory": "gs://bucket/a/b"],
            ]
        )
        #expect(done?.phase == .ended && done?.counted == 4 && done?.files == ["gs://bucket/a/b"])
        #expect(state("JOB_STATE_SUCCEEDED")?.counted == 1, "it has results, although nothing counts them")
        let unknown = state("JOB_STATE_EXPIRED", ["completionStats": ["successfulCount": "-1"]])
        #expect(unknown?.counted == 0 && unknown?.files == [])
        let elsewhere = state("JOB_STATE_SUCCEEDED", ["outputInfo": ["gcsOutputDirectory": "http://h/x"]])
        #expect(elsewhere?.files == [])
        #expect(VertexBatches.state(["name": "batches/7", "state": "JOB_STATE_RUNNING"]) == nil)
    }
}

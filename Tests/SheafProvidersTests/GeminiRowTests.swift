import SheafCore
import SheafFlows
import SheafTestTools
import Testing

@testable import SheafProviders

/// What lines of results and states of Gemini and Mistral mean.
@Suite("Rows of Gemini and Mistral") struct GeminiRowTests {
    private func gemini(_ line: String) -> BatchRow? { GeminiBatches.row(Array(line.utf8)) }

    @Test("An answer of Gemini is joined by its key, and a line without a key is no result") func answers() {
        let answer: JSONValue = ["candidates": []]
        #expect(
            gemini(#"{"response":{"candidates":[]},"key":"k_1"}"#)
                == BatchRow(id: "k_1", content: .answer(status: 200, body: answer))
        )
        for line in [#"{"response":{}}"#, #"{"key":"k_1"}"#, "{", #"{"key":"k_1","error":"no"}"#] {
            #expect(gemini(line) == nil, "\(line)")
        }
    }

    @Test(
        "An error of Gemini has the status of the live flow",
        arguments: [
            (3, 400), (5, 404), (7, 403), (8, 429), (13, 500), (14, 503), (4, 504), (16, 401), (400, 400), (503, 503),
            (99, 500),
        ]
    ) func errors(code: Int, status: Int) {
        for member in ["error", "status"] {
            let row = gemini(#"{"key":"k_1","\#(member)":{"code":\#(code),"message":"no"}}"#)
            let error: JSONValue = ["error": ["code": .integer(code), "message": "no"]]
            #expect(row?.content == .answer(status: status, body: error))
        }
        #expect(gemini(#"{"key":"k_1","error":{"code":1,"message":"cancelled"}}"#)?.content == .notRun)
    }

    @Test(
        "A state of Gemini is known by its end, and an unknown one is waited for",
        arguments: [
            ("BATCH_STATE_PENDING", SubmissionState.Phase.running), ("JOB_STATE_RUNNING", .running),
            ("BATCH_STATE_SUCCEEDED", .ended), ("JOB_STATE_PARTIALLY_SUCCEEDED", .ended),
            ("batch_state_expired", .ended), ("BATCH_STATE_CANCELLED", .ended), ("BATCH_STATE_PONDERING", .running),
            ("BATCH_STATE_FAILED", .refused("bad")),
        ]
    ) func states(name: String, phase: SubmissionState.Phase) {
        let batch: JSONValue = [
            "state": .string(name), "createTime": "1970-01-01T00:00:09.123456789Z",
            "batchStats": ["requestCount": "3", "successfulRequestCount": "2", "failedRequestCount": "1"],
            "output": ["responsesFile": "files/batch-x"],
        ]
        let state = GeminiBatches.state([
            "name": "batches/x", "metadata": batch, "response": ["responsesFile": "files/batch-x"],
            "error": ["code": 3, "message": "bad"],
        ])
        #expect(state?.phase == phase && state?.id == "x" && state?.files == ["files/batch-x"])
        #expect(state?.counted == 3 && state?.createdAt == 9)
    }

    @Test("A submission that Gemini could not run for now may be submitted again") func passing() {
        for code in [4, 8, 13, 14] {
            let state = GeminiBatches.state([
                "name": "batches/x", "metadata": ["state": "BATCH_STATE_FAILED"],
                "error": ["code": .integer(code), "message": "later"],
            ])
            #expect(state?.phase == .refusedForNow("later"))
        }
        #expect(GeminiBatches.state(["name": "files/x", "metadata": ["state": "BATCH_STATE_RUNNING"]]) == nil)
        #expect(GeminiBatches.state(["name": "batches/../x", "metadata": ["state": "BATCH_STATE_RUNNING"]]) == nil)
    }

    @Test("An error of Mistral is JSON in a string") func mistral() {
        let line =
            #"{"custom_id":"k_1","response":{"status_code":400,"body":"{\"message\":\"no\"}"},"error":null}"#
        #expect(MistralBatches.row(Array(line.utf8))?.content == .answer(status: 400, body: ["message": "no"]))
        let state = MistralBatches.state([
            "id": "j", "status": "CANCELLED", "completed_requests": 8, "succeeded_requests": 7, "failed_requests": 1,
            "output_file": "o", "error_file": nil,
        ])
        #expect(state?.phase == .ended && state?.counted == 8 && state?.files == ["o"])
        let failed = MistralBatches.state(["id": "j", "status": "FAILED", "errors": [["message": "bad", "count": 1]]])
        #expect(failed?.phase == .refused("bad"))
    }

    @Test("A host that Gemini names for an upload gets neither the key nor the requests") func uploadHost() async throws
    {
        try await BatchServer.with(["plain": true, "upload_host": "192.0.2.1:9"]) { server in
            let bench = SubmissionBench(server, .gemini)
            try await bench.run(0..<3)
            #expect(bench.results.count == 3 && bench.results.values.allSatisfy { $0[0].isSuccess })
        }
    }

    @Test("Results of Gemini that are not named yet are waited for and not bought again") func lateOutput() async throws
    {
        try await BatchServer.with(["plain": true, "late_output": 2]) { server in
            let bench = SubmissionBench(server, .gemini)
            try await bench.runToTheEnd(0..<3)
            #expect(bench.results.filter { $0.key >= 0 }.values.allSatisfy { $0.count == 1 && $0[0].isSuccess })
            let log = try await server.log()
            #expect(log["creates"] == 1 && log["paid_twice"] == 0)
        }
    }

    @Test(
        "Embeddings of Gemini and Mistral are submitted in bulk",
        arguments: [ProviderKind.gemini, .mistral]
    ) func embeddings(kind: ProviderKind) async throws {
        try await BatchServer.with(["plain": true]) { server in
            func flow(_ input: JSONValue) throws -> EmbeddingFlow {
                try EmbeddingFlow(
                    provider: kind.provider,
                    baseURL: kind.base(server),
                    key: "${KEY}",
                    model: "e",
                    input: input,
                    variables: ["KEY": BatchServer.key]
                )
            }
            let bench = SubmissionBench(server, kind)
            try await bench.run(0..<3, by: kind.client(flow("{{n}}")))
            guard case .success(let output) = bench.results[2]?.first else {
                Issue.record("\(bench.results)")
                return
            }
            #expect(try JSON.parse(output.json)["embedding"]?.arrayValue?.first?.doubleValue == 2)
            let lists = SubmissionBench(server, kind)
            try await lists.run(0..<1, by: kind.client(flow(["{{n}}", "8"])))
            if kind == .gemini {
                #expect(lists.error(0)?.message.contains("has one text, not a list") == true)
            } else {
                #expect(lists.results[0]?.first?.isSuccess == true)
            }
        }
    }
}

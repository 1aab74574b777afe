import SheafCore
import SheafFlows
import Testing

@testable import SheafProviders

/// Requests, results and states as OpenAI and services like it write them.
@Suite("Rows") struct RowTests {
    private func row(_ text: String) -> BatchRow.Content? { OpenAIBatches.row(Array(text.utf8))?.content }

    private func provider() throws -> OpenAIBatches {
        let messages: JSONValue = [["role": "user", "content": "{{n}}"]]
        return OpenAIBatches(try ChatFlow(baseURL: "http://h/v1", model: "m", messages: messages))
    }

    @Test("A task becomes a line with an id, the path of the API and the body of the live request") func encoding()
        throws
    {
        let line = try provider().encode(SubmissionBench.task(3), id: "k_3")
        #expect(!line.bytes.contains(UInt8(ascii: "\n")))
        #expect(line.model == "m" && line.inputs == 1)
        let json = try JSON.parse(line.bytes)
        #expect(json["custom_id"] == "k_3" && json["method"] == "POST" && json["url"] == "/v1/chat/completions")
        #expect(json["body"] == ["model": "m", "messages": [["role": "user", "content": "3"]]])
    }

    @Test("A task that does not fit into the template cannot be a request") func templateFailure() throws {
        let task = FlowTask(batch: "b", index: 0, record: Record(id: "r", kind: .json, bytes: Array("{}".utf8)))
        let provider = try provider()
        let error = #expect(throws: FlowError.self) { try provider.encode(task, id: "k_0") }
        #expect(error?.type == "template")
    }

    @Test("An answer is read with its status, whichever file it is in") func answers() {
        #expect(
            row(#"{"custom_id":"a","response":{"status_code":200,"body":{"x":1}},"error":null}"#)
                == .answer(status: 200, body: ["x": 1])
        )
        #expect(
            row(#"{"custom_id":"a","response":{"status_code":400,"body":{"error":{"message":"no"}}},"error":null}"#)
                == .answer(status: 400, body: ["error": ["message": "no"]])
        )
        #expect(row(#"{"custom_id":"a","response":{"body":{"x":1}}}"#) == .answer(status: 200, body: ["x": 1]))
    }

    @Test("A request that did not run is no failure", arguments: ["batch_expired", "batch_cancelled"])
    func notRun(code: String) {
        #expect(row(#"{"custom_id":"a","response":null,"error":{"code":"\#(code)","message":"m"}}"#) == .notRun)
    }

    @Test("A status in the code of an error is a status") func statusInCode() {
        let content = row(#"{"custom_id":"a","response":null,"error":{"code":"500","message":"m"}}"#)
        #expect(content == .answer(status: 500, body: ["error": ["code": "500", "message": "m"]]))
    }

    @Test("Status 0 is a failure that may be retried") func noStatus() {
        guard case .failure(let error) = row(#"{"custom_id":"a","response":{"status_code":0,"body":null}}"#) else {
            Issue.record("it is no failure")
            return
        }
        #expect(error.type == "connection" && error.isRetryable)
    }

    @Test(
        "What is no result is not read as one",
        arguments: ["<html>", "{}", "[]", "1", #"{"custom_id":5}"#, #"{"custom_id":"a","response":null,"error":null}"#]
    ) func damaged(line: String) { #expect(OpenAIBatches.row(Array(line.utf8)) == nil) }

    @Test(
        "Failures have the type of the live flow",
        arguments: [(400, false), (404, false), (429, true), (500, true), (503, true)]
    ) func failures(status: Int, isRetryable: Bool) throws {
        let row = BatchRow(id: "k_1", content: .answer(status: status, body: ["error": ["message": "no"]]))
        guard case .failure(let error) = try provider().result(of: row, for: SubmissionBench.task(1)) else {
            Issue.record("it is no failure")
            return
        }
        #expect(error.type == "http-\(status)" && error.isRetryable == isRetryable)
        #expect(error.message.hasPrefix("POST http://h/v1/chat/completions answered \(status) "))
        #expect(error.message.hasSuffix(": no"))
    }

    @Test("A used-up quota is not retried") func usedUpQuota() throws {
        let body: JSONValue = ["error": ["code": "insufficient_quota", "message": "no"]]
        let row = BatchRow(id: "k_1", content: .answer(status: 429, body: body))
        guard case .failure(let error) = try provider().result(of: row, for: SubmissionBench.task(1)) else {
            Issue.record("it is no failure")
            return
        }
        #expect(error.type == "http-429" && !error.isRetryable)
    }

    @Test("A batch is read with its files and counts, and an empty string is no file") func states() throws {
        let state = try #require(
            OpenAIBatches.state(
                [
                    "id": "b", "status": "Expired", "output_file_id": "f", "error_file_id": "", "created_at": 5,
                    "request_counts": ["total": 9, "completed": 3, "failed": 2],
                ],
                nil
            )
        )
        #expect(state.phase == .ended && state.files == ["f"] && state.counted == 5 && state.createdAt == 5)
        #expect(OpenAIBatches.state(["id": "b", "status": "surprising"], nil)?.phase == .running)
        #expect(OpenAIBatches.state(["id": "b/../c", "status": "completed"], nil) == nil)
        #expect(OpenAIBatches.state(["id": "b"], nil) == nil)
    }

    @Test("Numbers of any size are read without overflow") func extremeNumbers() {
        let large = JSONValue.integer(Int.max)
        let state = OpenAIBatches.state(
            [
                "id": "b", "status": "completed", "created_at": large,
                "request_counts": ["completed": large, "failed": large],
            ],
            nil
        )
        #expect(state?.counted == 2 << 40)
    }

    @Test("Only a full quota is refused for now") func refusals() {
        func phase(_ code: JSONValue) -> SubmissionState.Phase? {
            let errors: JSONValue = ["data": [["code": code, "message": "m", "line": 2]]]
            return OpenAIBatches.state(["id": "b", "status": "failed", "errors": errors], nil)?.phase
        }
        #expect(phase("token_limit_exceeded") == .refusedForNow("line 2: token_limit_exceeded: m"))
        #expect(phase("model_not_found") == .refused("line 2: model_not_found: m"))
    }

    @Test("Lines of a file are read in pieces, and the end of a long one is left out") func lines() async throws {
        let file = try SpoolFile()
        var writer = SpoolFile.Writer(file)
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 600_000)
        for line in [Array("a".utf8), [], long, Array("b\r".utf8)] { try writer.add(line) }
        try writer.flush()
        var found: [(Int, Bool)] = []
        try await file.readLines(atMost: 1_000) { found.append(($0.count, $1)) }
        #expect(found.map(\.0) == [1, 1_000, 1])
        #expect(found.map(\.1) == [false, true, false])
    }

    @Test("A memo survives its way through the lease") func memos() throws {
        var memo = SubmissionMemo(address: "http://h/v1")
        #expect(SubmissionMemo(try memo.bulkMemo) == memo)
        for number in 0..<SubmissionMemo.maximumEarlier {
            memo.preparation = Preparation(id: "file-\(number)", createdAt: 5)
            memo.requests = 7
            memo.id = String(repeating: "i", count: 128)
            memo.renew(keepingResults: true)
        }
        memo.misses = 2
        #expect(SubmissionMemo(try memo.bulkMemo) == memo)
        #expect(SubmissionMemo.index(of: SubmissionMemo.requestID(memo.key, 12), memo.key) == 12)
        #expect(SubmissionMemo.index(of: "other_12", memo.key) == nil)
        #expect(SubmissionMemo(try BulkMemo(["version": 99])) == nil)
    }
}

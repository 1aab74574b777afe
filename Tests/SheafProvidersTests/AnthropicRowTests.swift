import SheafCore
import SheafFlows
import Testing

@testable import SheafProviders

/// Requests, results and states as Anthropic writes them.
@Suite("Anthropic's rows") struct AnthropicRowTests {
    private func row(_ text: String) -> BatchRow.Content? { AnthropicBatches.row(Array(text.utf8))?.content }

    @Test("A task becomes an entry with an id and the parameters of the live request") func encoding() throws {
        let messages: JSONValue = [["role": "system", "content": "s"], ["role": "user", "content": "{{n}}"]]
        let flow = try ChatFlow(provider: .anthropic, model: "m{{odd}}", messages: messages)
        let line = try AnthropicBatches(flow).encode(SubmissionBench.task(3), id: "k_3")
        #expect(!line.bytes.contains(UInt8(ascii: "\n")))
        #expect(line.model.isEmpty, "a batch may ask several models")
        let json = try JSON.parse(line.bytes)
        #expect(json["custom_id"] == "k_3" && json["params"]?["model"] == "m1" && json["params"]?["system"] == "s")
        #expect(json["params"]?["max_tokens"] == 4_096)
    }

    @Test("The ids of requests have the form that Anthropic asks for") func ids() {
        let id = SubmissionMemo.requestID(SubmissionMemo(address: "a").key, 999_999)
        #expect(id.wholeMatch(of: /[a-zA-Z0-9_\-]{1,64}/) != nil)
        #expect(SubmissionMemo.key(of: "sheafabc_12") == "sheafabc" && SubmissionMemo.key(of: "request-1") == nil)
    }

    @Test("A result is a message, an error with the status of the live answer, or nothing") func results() {
        #expect(
            row(#"{"custom_id":"a","result":{"type":"succeeded","message":{"x":1}}}"#)
                == .answer(status: 200, body: ["x": 1])
        )
        for type in ["expired", "canceled"] {
            #expect(row(#"{"custom_id":"a","result":{"type":"\#(type)"}}"#) == .notRun)
        }
        for (type, status) in ["invalid_request_error": 400, "overloaded_error": 529, "rate_limit_error": 429] {
            let error = #"{"type":"error","error":{"type":"\#(type)","message":"m"},"request_id":null}"#
            #expect(
                row(#"{"custom_id":"a","result":{"type":"errored","error":\#(error)}}"#)
                    == .answer(status: status, body: ["error": ["type": .string(type), "message": "m"]])
            )
        }
        #expect(
            row(#"{"custom_id":"a","result":{"type":"errored","error":{"error":{"type":"odd","message":"m"}}}}"#)
                == .failure(
                    FlowError(type: "request-failed", message: "the provider did not answer the request: odd: m")
                )
        )
        #expect(row("{}") == nil && row("<html>") == nil && row(#"{"custom_id":"a"}"#) == nil)
    }

    @Test("A batch has results when it has ended, and all its counts are requests with a row") func states() {
        func state(_ status: String, _ location: JSONValue, id: String = "msgbatch_1") -> SubmissionState? {
            let counts: JSONValue = ["processing": 0, "succeeded": 2, "errored": 1, "canceled": 3, "expired": 4]
            let json: JSONValue = [
                "id": .string(id), "processing_status": .string(status), "request_counts": counts,
                "results_url": location, "created_at": "2026-11-29T20:00:00.5+01:00",
            ]
            return AnthropicBatches.state(json, .seconds(10))
        }
        let ended = state("ended", "https://h/r")
        #expect(ended?.phase == .ended && ended?.counted == 10 && ended?.files == ["https://h/r"])
        #expect(ended?.createdAt == 1_795_978_800)
        #expect(state("ended", .null)?.files == ["/v1/messages/batches/msgbatch_1/results"])
        for status in ["in_progress", "canceling", "pondering"] {
            let running = state(status, .null)
            #expect(running?.phase == .running && running?.files == [] && running?.retryAfter == .seconds(10))
        }
        #expect(state("ended", .null, id: "a/b") == nil)
    }
}

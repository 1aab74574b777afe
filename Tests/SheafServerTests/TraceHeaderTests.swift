import SheafBatches
import SheafCore
import SheafTestSupport
import Testing

@Suite("Trace context of requests") struct TraceHeaderTests {
    private static let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    private static let body = #"{"flow":"echo","records":[1,2]}"#

    @Test("Tasks carry the context of the request that created them, without tracing too") func creation() async throws
    {
        try await ServerTestBench.creating { bench in
            let headers = ["Content-Type": "application/json", "traceparent": Self.parent, "tracestate": "vendor=1"]
            let response = try await bench.send("POST", "/api/batches", headers, body: Self.body)
            #expect(response.status == 201, "\(response.body)")
            let traces = try await bench.tasks(of: response).map(\.trace)
            #expect(traces.map(\.?.traceParent) == [Self.parent, Self.parent])
            #expect(traces.map(\.?.traceState) == ["vendor=1", "vendor=1"])
        }
    }

    @Test(
        "A request without a valid context creates tasks without one",
        arguments: [nil, "", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", "text"]
    )
    func withoutContext(header: String?) async throws {
        try await ServerTestBench.creating { bench in
            var headers = ["Content-Type": "application/json"]
            headers["traceparent"] = header
            let response = try await bench.send("POST", "/api/batches", headers, body: Self.body)
            #expect(response.status == 201, "\(response.body)")
            #expect(try await bench.tasks(of: response).map(\.trace) == [nil, nil])
        }
    }

    @Test("A repeated request with another context is the same request") func repeats() async throws {
        try await ServerTestBench.creating { bench in
            var headers = ["Content-Type": "application/json", "Idempotency-Key": "k1", "traceparent": Self.parent]
            #expect(try await bench.send("POST", "/api/batches", headers, body: Self.body).status == 201)
            headers["traceparent"] = "00-11111111111111111111111111111111-b7ad6b7169203331-01"
            let again = try await bench.send("POST", "/api/batches", headers, body: Self.body)
            #expect(again.status == 200 && again.headers["idempotency-replayed"] == "true", "\(again.body)")
            #expect(try await bench.batches().count == 1)
        }
    }

    @Test("Tasks that are retried carry the context of the retry") func retry() async throws {
        try await APIStage.with { api in
            let batch = try await api.client.create(plan(), records: records(2))
            try await api.client.runByHand(batch) { _ in .failed }
            try await until("the server knows the failures") {
                try await api.get("batches/\(batch.id)")["counts"]?["failed"] == 2
            }
            let answer = try await api.send(
                "POST",
                "batches/\(batch.id)/retry",
                headers: ["traceparent": Self.parent]
            )
            #expect(answer.status == 202 && answer["retried"] == 2, "\(answer.json.text)")
            let tasks = try await api.client.tasks(of: batch.id.text, flow: batch.flow.text, generation: 1)
            #expect(tasks.map(\.trace?.traceParent) == [Self.parent, Self.parent])
        }
    }
}

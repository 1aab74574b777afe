import Sheaf
import SheafBatches
import SheafCore
import SheafDispatch
import SheafTestSupport
import SheafTestTools
import Testing

@testable import SheafServer

@Suite("Requests over HTTP", .timeLimit(.minutes(4))) struct RequestRouteTests {
    @Test("A request is added, dispatched and answered by its id", arguments: BrokerKind.allCases)
    func answers(kind: BrokerKind) async throws {
        try await RequestBench.with(kind) { bench in
            let added = try await bench.post(#"{"id": "order/1", "text": "very good"}"#)
            #expect(added.status == 202, "\(added.body)")
            #expect(added.headers["location"] == "/api/requests/reviews/order%2F1")
            #expect(try added.json == ["name": "reviews", "id": "order/1", "ids": ["order/1"]])
            let waiting = try await bench.get("/reviews/order%2F1")
            #expect(waiting.status == 200, "\(waiting.body)")
            #expect(try waiting.json["state"] == "waiting" && waiting.json["batch_id"] == .null)
            let list = try await bench.get("").json["dispatchers"]?.arrayValue?.first
            #expect(list?["name"] == "reviews" && list?["flow"] == "echo" && list?["waiting"] == 1)
            #expect(list?["bytes"] == 38 && list?["oldest"]?.stringValue != nil)

            let batch = try #require(try await bench.dispatch().first)
            try await until("the server knows the batch") {
                try await bench.get("/order%2F1").json["state"] == "dispatched"
            }
            async let answer = bench.get("/reviews/order%2F1?wait=60")
            async let other = bench.get("/order%2F1?wait=60")
            try await bench.server.client.runByHand(batch)
            for answer in try await [answer, other] {
                let json = try answer.json
                #expect(json["id"] == "order/1" && json["state"] == "succeeded" && json["index"] == 0, "\(json)")
                #expect(json["batch_id"] == .string(batch.id.text) && json["output"] == 1 && json["error"] == .null)
            }
        }
    }

    @Test("A repeat adds nothing and gets the same answer, from every server", arguments: BrokerKind.allCases)
    func repeats(kind: BrokerKind) async throws {
        try await RequestBench.with(kind) { first in
            try await first.stage.client { client in
                try await RequestBench.with(on: client, first.stage) { second in
                    let body = #"{"id": "a", "n": 1}"#
                    let added = try await first.post(body)
                    for bench in [first, second] {
                        let again = try await bench.post(body)
                        #expect(again.status == 202 && again.headers["idempotency-replayed"] == "true")
                        #expect(again.body == added.body && again.headers["location"] == added.headers["location"])
                        let other = try await bench.post(#"{"id": "a", "n": 2}"#)
                        #expect(other.status == 409, "\(other.body)")
                    }
                    let keyed = try await first.post(#"{"n": 1}"#, key: "k 1")
                    #expect(keyed.status == 202 && keyed.headers["idempotency-replayed"] == nil)
                    #expect(try keyed.json["id"]?.stringValue?.hasPrefix("reviews.key-") == true)
                    for bench in [first, second] {
                        let again = try await bench.post(#"{"n": 1}"#, key: "k 1")
                        #expect(again.status == 202 && again.headers["idempotency-replayed"] == "true")
                        #expect(again.body == keyed.body)
                        #expect(try await bench.post(#"{"n": 2}"#, key: "k 1").status == 422)
                    }
                    for bench in [first, second] { #expect(try await bench.waiting() == 2) }
                    // Without an id, each is a request of its own.
                    let ids = try await [first.post(#"{"n": 1}"#), second.post(#"{"n": 1}"#)].map { try $0.json["id"] }
                    #expect(Set(ids).count == 2)
                    #expect(try await first.waiting() == 4)
                    let batch = try #require(try await first.dispatch().first)
                    #expect(batch.total == 4 && batch.invalid == 0)
                }
            }
        }
    }

    @Test("Several requests come as an array, as lines and as rows")
    func several() async throws {
        try await RequestBench.with { bench in
            let array = try await bench.post("[{\"id\": \"a\",\n\"n\": 1}, {\"record_id\": 2}, \"text\"]")
            #expect(array.status == 202 && array.headers["location"] == nil, "\(array.body)")
            let ids = try array.json["ids"]?.arrayValue?.compactMap(\.stringValue) ?? []
            #expect(ids.prefix(2) == ["a", "2"] && ids.count == 3 && ids[2].hasPrefix("reviews."))
            #expect(try array.json["id"] == nil)
            let lines = try await bench.post("{\"id\":\"b\"}\n{\"id\":\"c\"}\n", as: "application/jsonl")
            #expect(try lines.json["ids"] == ["b", "c"])
            let rows = try await bench.post("order,n\nd,1\ne,2\n", as: "text/csv", query: "?id_field=order")
            #expect(try rows.json["ids"] == ["d", "e"])
            let text = try await bench.post("one\ntwo\n", as: "application/octet-stream", query: "?format=lines")
            #expect(text.status == 202, "\(text.body)")
            #expect(try await bench.waiting() == 9)
            let batch = try #require(try await bench.dispatch().first)
            let tasks = try await bench.server.client.tasks(of: batch.id.text)
            #expect(tasks[0].record.bytes == Array("{\"id\": \"a\",\n\"n\": 1}".utf8))
            #expect(tasks[5].record.bytes == Array(#"{"order":"d","n":"1"}"#.utf8))
        }
    }

    @Test(
        "A body that holds no valid requests is refused, and nothing is added",
        arguments: [
            ("", "application/json", 400, "must be a JSON object"),
            ("{", "application/json", 400, "not valid JSON"),
            ("7", "application/json", 400, "must be a JSON object"),
            ("[]", "application/json", 422, "no requests"),
            (#"[{"id": "a"}, {"id": "a", "n": 1}]"#, "application/json", 409, "id 'a'"),
            ("{\"id\":\"a\"}\n{", "application/jsonl", 422, "broken JSON"),
            (#"{"id": "a"}"#, "application/xml", 415, "application/xml"),
            (#"{"id": "a"}"#, "application/json; charset=latin1", 415, "UTF-8"),
            (#"{"id": "\#(String(repeating: "i", count: 256))"}"#, "application/json", 422, "256 bytes"),
            (#"{"id": "a", "t": "\#(String(repeating: "x", count: 1 << 20))"}"#, "application/json", 422, "1 MiB"),
            (#"{"id": "a", "t": "\#(String(repeating: "x", count: 9 << 20))"}"#, "application/json", 413, "8388608"),
            (String(repeating: "1\n", count: 10_001), "application/jsonl", 413, "10000"),
        ]
    )
    func badBodies(body: String, type: String, status: Int, reason: String) async throws {
        try await RequestBench.with { bench in
            let refused = try await bench.post(body, as: type)
            #expect(refused.status == status, "\(refused.body.prefix(500))")
            #expect(refused.headers["content-type"] == "application/problem+json")
            #expect(try refused.json["detail"]?.stringValue?.contains(reason) == true, "\(refused.body.prefix(500))")
            #expect(try await bench.waiting() == 0)
        }
    }

    @Test("Wrong names, keys, parameters and tokens are refused")
    func refusals() async throws {
        try await RequestBench.with { bench in
            let unknown = try await bench.post("{}", to: "review")
            #expect(unknown.status == 404)
            #expect(try unknown.json["detail"]?.stringValue?.contains("reviews") == true, "\(unknown.body)")
            for path in ["/reviews/nothing", "/nothing", "/nothing/a", "/reviews/nothing?wait=1"] {
                #expect(try await bench.get(path).status == 404, "\(path)")
            }
            for path in ["/reviews/a?wait=61", "/reviews/a?wait=x", "/a?until=1"] {
                #expect(try await bench.get(path).status == 400, "\(path)")
            }
            #expect(try await bench.post("{}", key: String(repeating: "k", count: 256)).status == 400)
            #expect(try await bench.post(#"{"id": 1}"#, key: "k").status == 422)
            #expect(try await bench.post("[{}, {}]", key: "k").status == 422)
            #expect(try await bench.post("{}", query: "?format=files").status == 400)
        }
        try await ServerTestBench.withTokens { bench in
            #expect(try await bench.send("POST", "/api/requests/a").status == 401)
            #expect(try await bench.send("POST", "/api/requests/a", token: ServerTestBench.reader).status == 403)
            let list = try await bench.send("GET", "/api/requests", token: ServerTestBench.reader)
            #expect(try list.json == ["dispatchers": []])
        }
    }

    @Test("A full queue refuses further requests until a batch is made", arguments: BrokerKind.allCases)
    func full(kind: BrokerKind) async throws {
        try await RequestBench.with(kind, maxWaiting: 5) { bench in
            let responses = try await withThrowingTaskGroup(of: RawResponse.self) { group in
                for number in 0..<12 { group.addTask { try await bench.post(#"{"id": \#(number)}"#) } }
                return try await group.reduce(into: [RawResponse]()) { $0.append($1) }
            }
            #expect(responses.count { $0.status == 202 } == 5)
            let refused = responses.filter { $0.status != 202 }
            #expect(refused.allSatisfy { $0.status == 429 && $0.headers["retry-after"] == "60" })
            #expect(refused.first?.body.contains("limit of 5") == true)
            #expect(try await bench.dispatch().map(\.total) == [5])
            #expect(try await bench.post(#"{"id": 100}"#).status == 202)
        }
    }

    @Test("The end of the server ends a request that waits for an answer")
    func drain() async throws {
        try await RequestBench.with { (bench: RequestBench) async throws in
            let added = try await bench.post(#"{"id": "a"}"#)
            #expect(added.status == 202)
            async let long = bench.get("/reviews/a?wait=60").json
            async let short = bench.get("/reviews/a?wait=1").json
            let first = try await short
            #expect(first["state"] == "waiting")
            await bench.server.drain()
            let last = try await long
            #expect(last["state"] == "waiting")
        }
    }

    @Test("While the broker is away, the answer is 503, and a repeat then adds the request once")
    func lostBroker() async throws {
        try await Stage.with(.rabbitMQ) { stage in
            try await FaultProxy.with(inFrontOf: stage.reference.text) { proxy, url in
                try await SheafClient.withClient(broker: BrokerReference(url), namespace: stage.namespace) { client in
                    try await RequestBench.with(on: client, stage) { bench in
                        #expect(try await bench.post(#"{"id": "a"}"#).status == 202)
                        proxy.set(.refuse)
                        let away = try await bench.post(#"{"id": "b"}"#)
                        #expect(away.status == 503, "\(away.body)")
                        proxy.set(.pass)
                        try await until("the broker is back") { try await bench.post(#"{"id": "b"}"#).status == 202 }
                        #expect(try await bench.dispatch().map(\.total) == [2])
                    }
                }
            }
        }
    }
}

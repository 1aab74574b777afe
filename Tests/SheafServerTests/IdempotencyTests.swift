import SheafBatches
import SheafCore
import SheafTestSupport
import Testing

@testable import SheafServer

@Suite("Repeated requests") struct IdempotencyTests {
    private static let body = #"{"flow":"echo","records":[{"id":1},{"id":2}],"tags":{"a":"b"}}"#

    /// Runs a server on the broker.
    private static func with(
        _ kind: BrokerKind,
        _ body: @escaping @Sendable (ServerTestBench, Stage) async throws -> Void
    ) async throws {
        let flows = try ServerTestBench.echo
        try await Stage.with(kind) { stage in
            try await stage.client { client in
                try await ServerTestBench.with(on: client, { $0.flows = flows }) { try await body($0, stage) }
            }
        }
    }

    @Test("The same key gives the same batch, and another content under it is refused", arguments: BrokerKind.allCases)
    func repeats(kind: BrokerKind) async throws {
        try await Self.with(kind) { bench, _ in
            let first = try await bench.create(Self.body, key: "k 1")
            #expect(first.status == 201, "\(first.body)")
            #expect(first.headers["idempotency-replayed"] == nil)
            // The order of members, white space and aliases do not change a request.
            let other = #"{"tags":{"a":"b"}, "records": [{"id":1}, {"id":2}], "flow_name": "echo"}"#
            for body in [Self.body, other] {
                let again = try await bench.create(body, key: "k 1")
                #expect(again.status == 200, "\(again.body)")
                #expect(again.headers["idempotency-replayed"] == "true")
                #expect(again.headers["location"] == first.headers["location"])
                #expect(try again.json["total"] == 2)
            }
            for body in [
                #"{"flow":"echo","records":[{"id":1},{"id":3}],"tags":{"a":"b"}}"#,
                #"{"flow":"echo","records":[{"id":1},{"id":2}],"tags":{"a":"c"}}"#,
            ] {
                let refused = try await bench.create(body, key: "k 1")
                #expect(refused.status == 422)
                #expect(try refused.json["detail"]?.stringValue?.contains("send another key") == true)
            }
            #expect(try await bench.tasks(of: first).count == 2)
            #expect(try await bench.create(Self.body, key: "k 2").status == 201)
            #expect(try await bench.create(Self.body).status == 201)
            #expect(try await bench.batches().count == 3)
        }
    }

    @Test("A key of a cancelled batch gives that batch, and one of a deleted batch is refused") func afterTheEnd()
        async throws
    {
        try await Self.with(.embedded) { bench, _ in
            let first = try await bench.create(Self.body, key: "k")
            let id = try #require(try first.json["batch_id"]?.stringValue)
            try await bench.client.cancel(id)
            let again = try await bench.create(Self.body, key: "k")
            #expect(again.status == 200)
            #expect(try again.json["status"] == "cancelled")
            try await bench.client.delete(id, force: true)
            let refused = try await bench.create(Self.body, key: "k")
            #expect(refused.status == 409, "\(refused.body)")
            #expect(refused.headers["retry-after"] == nil)
        }
    }

    @Test("A key that is invalid, or combined with an id, is refused")
    func invalidKey() async throws {
        try await Self.with(.embedded) { bench, _ in
            let long = try await bench.create(Self.body, key: String(repeating: "k", count: 256))
            #expect(long.status == 400)
            let both = #"{"flow":"echo","records":[1],"batch_id":"b1"}"#
            let refused = try await bench.create(both, key: "k")
            #expect(refused.status == 422)
        }
    }

    @Test("Many requests with one key at two servers make one batch", arguments: BrokerKind.allCases)
    func twoServers(kind: BrokerKind) async throws {
        try await Self.with(kind) { first, stage in
            let flows = try ServerTestBench.echo
            try await stage.client { client in
                try await ServerTestBench.with(on: client, { $0.flows = flows }) { second in
                    let lines = (0..<3000).map { "{\"id\":\($0)}\n" }.joined()
                    let responses = try await withThrowingTaskGroup(of: RawResponse.self) { group in
                        for number in 0..<8 {
                            let bench = number.isMultiple(of: 2) ? first : second
                            group.addTask {
                                try await bench.create(lines, as: "application/jsonl", query: "?flow=echo", key: "one")
                            }
                        }
                        return try await group.reduce(into: [RawResponse]()) { $0.append($1) }
                    }
                    for response in responses {
                        #expect([200, 201, 409].contains(response.status), "\(response.body)")
                        if response.status == 409 { #expect(response.headers["retry-after"] != nil) }
                    }
                    let made = responses.filter { $0.status == 201 && $0.headers["idempotency-replayed"] == nil }
                    #expect(made.count == 1)
                    #expect(Set(responses.compactMap { $0.headers["location"] }).count == 1)
                    #expect(try await first.batches().count == 1)
                    let tasks = try await first.tasks(of: try #require(made.first))
                    #expect(tasks.map(\.index) == Array(0..<3000))
                }
            }
        }
    }

    @Test("A repeat publishes the rest of a batch whose server lost its broker", arguments: BrokerKind.allCases)
    func interrupted(kind: BrokerKind) async throws {
        let count = 40_000
        let lines = (0..<count).map { "{\"n\":\($0)}\n" }.joined()
        try await Self.with(kind) { second, stage in
            let flows = try ServerTestBench.echo
            try await stage.client { client in
                // The server ends with an error once its connection is closed.
                _ = try? await ServerTestBench.with(on: client, { $0.flows = flows }) { first in
                    async let response = try? first.create(
                        lines,
                        as: "application/jsonl",
                        query: "?flow=echo",
                        key: "k"
                    )
                    try await until("the batch has tasks") {
                        try await second.batches().contains { $0.published > 0 }
                    }
                    await client.close()
                    let status = await response?.status
                    #expect(status != 200 && status != 201)
                }
            }
            let cut = try #require(try await second.batches().first)
            #expect(cut.sealedTotal == nil)
            var response = try await second.create(lines, as: "application/jsonl", query: "?flow=echo", key: "k")
            while response.status == 409 {  // the broker has not noticed yet that the lock's holder is gone
                #expect(response.headers["retry-after"] != nil)
                response = try await second.create(lines, as: "application/jsonl", query: "?flow=echo", key: "k")
            }
            #expect(response.status == 201, "\(response.body)")
            #expect(response.headers["idempotency-replayed"] == "true")
            #expect(try response.json["total"] == .integer(count))
            #expect(try await second.batches().map(\.id) == [cut.id])
            // Some tasks may be in the queue twice; each has the record of its number in the recorded order.
            let tasks = try await second.tasks(of: response)
            #expect(Set(tasks.map(\.index)) == Set(0..<count))
            #expect(Set(tasks.map(\.record.bytes)).count == count)
        }
    }
}

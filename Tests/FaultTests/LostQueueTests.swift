import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// Queues and logs that are deleted from the broker while workers use them, with the real command.
@Suite(.serialized, .timeLimit(.minutes(5))) struct LostQueueTests {
    @Test(
        "A deleted task queue fails its batch as queue-lost and retry --missing repairs it",
        arguments: BrokerKind.allCases
    )
    func aLostTaskQueueIsReportedAndRepaired(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            try site.bench.write((0..<300).map { "{\"n\":\($0)}\n" }.joined(), to: "in.jsonl")
            try await site.create("noted", "in.jsonl")
            let run = try await site.sheaf("run", "--until-empty") { _ in
                try await site.bench.until("tasks run") { try site.noted("begun").count >= 20 }
                try await site.withClient { client in
                    let info = try await client.batch("last").info
                    let queue = client.names.tasks(flow: info.flow, batch: info.id, generation: 0)
                    try await client.broker.deleteQueue(queue)
                }
            }
            let (json, counts) = try await site.status()
            #expect(json["status"] == "failed", "\(run.talk)")
            #expect(json["reason"]?.stringValue?.hasPrefix("queue-lost") == true, "\(json.text)")
            #expect(counts.succeeded >= 15 && counts.pending > 0 && counts.total == 300)
            let retry = try await site.sheaf("retry", "last", "--missing", "in.jsonl")
            #expect(retry.code == 0, "\(retry.talk)")
            #expect(try await site.work().allSatisfy { $0.code == 0 })
            try await site.complete(BatchCounts(succeeded: 300))
        }
    }

    @Test("A deleted results log fails its batch and the batch can still be deleted", arguments: BrokerKind.allCases)
    func aLostResultsLogIsReported(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            try await site.create("noted", "-", input: (0..<200).map { "\($0)\n" }.joined())
            let run = try await site.sheaf("run", "--until-empty") { _ in
                try await site.bench.until("tasks run") { try site.noted("begun").count >= 20 }
                try await site.withClient { client in
                    let info = try await client.batch("last").info
                    try await client.broker.deleteLog(client.names.results(batch: info.id))
                }
            }
            let status = try await site.status()
            #expect(status.json["status"] == "failed", "\(run.talk)")
            #expect(status.json["reason"]?.stringValue?.contains("-lost") == true, "\(status.json.text)")
            let results = try await site.sheaf("results", "last")
            #expect(results.code != 0)
            #expect(results.talk.contains("results"), "\(results.talk)")
            #expect(try await site.sheaf("delete", "last", "--force").code == 0)
            #expect(try await site.sheaf("list", "--json").output.trimmedEnd == "[]")
        }
    }
}

extension String {
    /// The string without the line breaks at its end.
    fileprivate var trimmedEnd: Substring { self[...].prefix { $0 != "\n" } }
}

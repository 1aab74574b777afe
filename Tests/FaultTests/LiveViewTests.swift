import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// A live view that is held for ten minutes, on a RabbitMQ node of its own.
@Suite("Live view held for long", .timeLimit(.minutes(15))) struct LiveViewTests {
    private static let batches = 50
    private static let looks = 600

    @Test(
        "A live view of 50 batches that is looked at every second for ten minutes adds no message to any queue or log"
    )
    func lookingAddsNoMessage() async throws {
        try await RabbitMQNode.with { node in
            try await Site.with(node) { site in
                try await site.withClient { client in
                    for number in 0..<Self.batches {
                        try await site.create("words", "-", "--batch-id", "b\(number)", input: "one\ntwo\nthree\n")
                    }
                    let directory = try await BatchDirectory(client: client, isAggregating: false)
                    let following = Task { try await directory.run() }
                    defer { following.cancel() }
                    let before = try await site.messageCounts(node)
                    for _ in 0..<Self.looks {
                        let snapshot = directory.snapshot
                        #expect(snapshot.count == Self.batches && snapshot.allSatisfy { $0.counts.total == 3 })
                        _ = try directory.summary(of: "last")
                        try await Task.sleep(for: .seconds(1))
                    }
                    let after = try await site.messageCounts(node)
                    #expect(after == before)
                    #expect(after.values.reduce(0, +) > Self.batches * 3)
                    print(
                        "live view: \(Self.looks) looks, \(after.count) queues and logs, \(after.values.reduce(0, +)) messages"
                    )
                }
            }
        }
    }
}

extension Site {
    /// The number of messages in every queue and log of the node, once the node's own counts have stopped changing.
    fileprivate func messageCounts(_ node: RabbitMQNode) async throws -> [String: Int] {
        var last: [String: Int] = [:]
        try await bench.until("the counts are stable", limit: .seconds(60)) {
            let listed = try await node.rabbitmqctl("list_queues", "--quiet", "name", "messages")
            var counts: [String: Int] = [:]
            for line in listed.split(separator: "\n") {
                let cells = line.split(separator: "\t")
                if cells.count == 2, let count = Int(cells[1]) { counts[String(cells[0])] = count }
            }
            defer { last = counts }
            if counts == last, !counts.isEmpty { return true }
            // RabbitMQ updates these counts every five seconds.
            try await Task.sleep(for: .seconds(6))
            return false
        }
        return last
    }
}

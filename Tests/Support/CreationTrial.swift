import Glibc
import Sheaf
import SheafCore
import SheafTestTools
import Testing

/// A creation that is killed repeatedly and resumed until it is complete.
package struct CreationTrial {
    private let site: Site
    package let records: Int
    package let kills: Int

    package init(site: Site, records: Int, kills: Int) {
        self.site = site
        self.records = records
        self.kills = kills
    }

    /// How many tasks one kill may publish twice: those confirmed and not yet journalled, and those still unconfirmed.
    package static let repeatsPerKill = 10_000 + 2_000

    /// Kills at points spread over the file, resumes to the end, and runs all tasks.
    ///
    /// Returns how many tasks were in the queue more than once.
    package func run() async throws -> Int {
        try write()
        var isDone = false
        for kill in 1...kills where !isDone {
            let point = records * kill / (kills + 1)
            let run = try await killed(
                kill == 1
                    ? ["create", "echo", "in.jsonl", "--seed", "1", "--batch-id", "b1"] : ["create", "--resume", "b1"],
                "b1",
                beyond: point
            )
            // The creator may have finished before it was killed.
            #expect([0, 137].contains(run.code), "\(run.talk)")
            isDone = run.code == 0
        }
        // The broker may need a while to notice that the creator is gone; it may also have died after its last step.
        try await site.bench.until("the creation is reported as interrupted or complete") {
            let status = try await site.status().json
            return status["interrupted"] == true || status["sealed"] == true
        }
        if isDone { #expect(try await site.status().json["interrupted"] == false) }
        let last = try await site.bench.sheaf(["create", "--resume", "last"], limit: .seconds(300))
        #expect(last.code == 0, "\(last.talk)")
        #expect(last.lines == ["b1"])
        let again = try await site.sheaf("create", "--resume", "b1")
        #expect(again.code == 0 && again.talk.contains("nothing to resume"), "\(again.talk)")
        let indices = try await published("b1")
        #expect(Set(indices) == Set(0..<records), "every index is in the queue at least once, and no other")
        let worker = try await site.bench.sheaf(["run", "--until-empty", "-c", "16"], limit: .seconds(400))
        #expect(worker.code == 0, "\(worker.talk)")
        let rows = try await site.complete(BatchCounts(succeeded: records))
        #expect(rows.allSatisfy { $0["output"]?["n"] == $0["index"] })
        return indices.count - records
    }

    package func write() throws {
        try site.bench.write((0..<records).map { "{\"n\":\($0)}\n" }.joined(), to: "in.jsonl")
    }

    /// Begins a batch and kills its creator before all tasks are published.
    package func createAndKill(_ batch: String, beyond point: Int) async throws {
        let run = try await killed(["create", "echo", "in.jsonl", "--batch-id", batch], batch, beyond: point)
        #expect(run.code == 137, "\(run.talk)")
    }

    /// Runs a creation and kills it when it has published at least `point` tasks.
    private func killed(_ arguments: [String], _ batch: String, beyond point: Int) async throws -> Workbench.Run {
        let start = try await progress(of: batch)
        return try await site.bench.sheaf(arguments, limit: .seconds(300)) { number in
            try await site.withClient { client in
                let queue = client.names.tasks(flow: site.echo, batch: try #require(Name(batch)), generation: 0)
                try await site.bench.until("the creation is at \(point)", limit: .seconds(280)) {
                    // The process has already ended by itself.
                    if Glibc.kill(number, 0) != 0 { return true }
                    let depth = try await client.broker.queueStatus(queue)?.ready ?? 0
                    return start.journalled + depth - start.depth >= point
                }
            }
            Glibc.kill(number, SIGKILL)
        }
    }

    /// How many confirmed tasks the journal reports, and how many tasks are in the queue; zero if there is no such
    /// batch.
    private func progress(of batch: String) async throws -> (journalled: Int, depth: Int) {
        var progress = (journalled: 0, depth: 0)
        try await site.withClient { client in
            let queue = client.names.tasks(flow: site.echo, batch: try #require(Name(batch)), generation: 0)
            progress.depth = try await client.broker.queueStatus(queue)?.ready ?? 0
            if progress.depth > 0 { progress.journalled = try await client.infoToResume(batch).published }
        }
        return progress
    }

    /// The indices of all tasks in the queue of a batch, which are taken out and published again.
    package func published(_ batch: String) async throws -> [Int] {
        var messages: [Message] = []
        try await site.withClient { client in
            let queue = client.names.tasks(flow: site.echo, batch: try #require(Name(batch)), generation: 0)
            let count = try #require(try await client.broker.queueStatus(queue)).ready
            let consumer = try await client.broker.consume(queue, prefetch: 2000)
            while messages.count < count, let more = try await consumer.next() {
                messages += more.map(\.message)
                try await client.broker.settle(more, as: .acknowledged)
            }
            let rest = try await consumer.cancel()
            #expect(rest.isEmpty, "no more tasks than the broker counted")
            try await client.broker.publish(messages, to: queue)
        }
        return messages.compactMap { $0.integer("sheaf-index") }
    }
}

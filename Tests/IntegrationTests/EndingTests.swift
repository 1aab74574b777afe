import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Batches that are stopped or cancelled.
    @Suite struct EndingTests {
        /// The time at which a worker started a task, and the time that the program itself wrote down.
        private struct Beginning {
            let worker: Substring
            let decided: Timestamp
            let noted: Timestamp
        }

        /// The starts of the newest batch's tasks.
        private func beginnings(_ site: Site) async throws -> [Beginning] {
            var decided: [Int: Timestamp] = [:]
            for row in try await site.rows() {
                guard let index = row["index"]?.intValue else { continue }
                decided[index] = row["started_at"]?.stringValue.flatMap { Timestamp($0) }
            }
            return try site.bench.lines(of: "begun").map { line in
                let words = line.split(separator: " ")
                let seconds = try #require(Double(words[0]))
                return Beginning(
                    worker: words[1],
                    decided: try #require(Int(words[2]).flatMap { decided[$0] }),
                    noted: Timestamp(milliseconds: Int64(seconds * 1000))
                )
            }
        }

        @Test(
            "With the policy stop, one failure stops the tasks of all workers within 250 ms",
            arguments: BrokerKind.allCases
        )
        func aFailureStopsAllWorkers(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 1500
                let input = (0..<total).map { $0 == 40 ? "bad\n" : "good\n" }.joined()
                try await site.create("fragile", "-", "--no-shuffle", "--error-policy", "stop", input: input)
                #expect(try await site.work("--batch", "last").allSatisfy { $0.code == 1 })
                let status = try await site.status()
                #expect(status.json["status"] == "failed")
                #expect(status.counts.failed == 1)
                #expect(status.counts.running == 0)
                #expect(status.counts.pending > 0)
                #expect(status.counts.total == total)
                #expect(try await site.sheaf("wait", "last").code == 1)
                #expect(try await site.sheaf("run", "--until-empty", "--batch", "last").code == 1)
                let stopped = try #require(status.json["finished_at"]?.stringValue.flatMap { Timestamp($0) })
                let begun = try await beginnings(site)
                #expect(begun.count == status.counts.settled)
                #expect(Set(begun.map(\.worker)).count == 3)
                let decided = begun.map(\.decided).max().map { $0 - stopped } ?? .zero
                #expect(decided <= .milliseconds(250), "a worker began a task \(decided) after the stop")
                // A program writes its own time later, by the time that this machine takes to start a process.
                let delay = begun.filter { $0.decided < stopped }.map { $0.noted - $0.decided }.max() ?? .zero
                let noted = begun.map(\.noted).max().map { $0 - stopped } ?? .zero
                #expect(noted <= .milliseconds(250) + delay, "a task began \(noted) after the stop")
            }
        }

        @Test("A batch that is cancelled while no worker runs is never started", arguments: BrokerKind.allCases)
        func cancelledWhileNobodyWorks(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try await site.create("noted", "-", input: (0..<50).map { "\($0)\n" }.joined())
                #expect(try await site.sheaf("cancel", "last").code == 0)
                #expect(try await site.work().allSatisfy { $0.code == 0 && $0.talk.contains("no tasks were run") })
                #expect(try site.noted("begun").isEmpty)
                #expect(try await site.sheaf("wait", "last").code == 6)
                #expect(try await site.sheaf("run", "--until-empty", "--batch", "last").code == 6)
                let status = try await site.status()
                #expect(status.json["status"] == "cancelled")
                #expect(status.counts == BatchCounts(cancelled: 50))
                let again = try await site.sheaf("cancel", "last")
                #expect(again.code == 4)
                #expect(again.talk.contains("it has already ended (cancelled)"), "\(again.talk)")
            }
        }
    }
}

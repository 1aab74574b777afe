import Glibc
import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import SheafTestTools
import Synchronization
import Testing

/// Workers and aggregators that are killed repeatedly, with the real command.
@Suite(.serialized, .timeLimit(.minutes(15))) struct WorkerFaultTests {
    /// A configuration whose tasks kill their worker if the record contains "poison".
    private static let poison = #"""
        flows:
          fragile:
            exec: ["bash", "-c", "if grep -q poison; then kill -9 $PPID; sleep 5; fi"]
            retries: 0
        """#

    @Test("Counts never go back while up to fifty aggregators are killed", arguments: BrokerKind.allCases)
    func fiftyAggregatorsAreKilled(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            // Outputs large enough for checkpoints.
            try site.bench.write("flows: { copy: { exec: [bash, -c, 'cat; sleep 0.05'] } }\n", to: "sheaf.yaml")
            let (total, text) = (6000, String(repeating: "x", count: 4000))
            try await site.create("copy", "-", input: (0..<total).map { "\($0) \(text)\n" }.joined())
            var kills = 0
            let seen = Progress()
            while kills < 50, seen.settled < total {
                let before = seen.settled
                // The only running process, and therefore the aggregator.
                let run = try await site.sheaf("run", "-c", "4", "--until-empty") { number in
                    try await site.withClient { client in
                        try await site.bench.until("the aggregator has counted more") {
                            let settled = try await client.batch("last").counts.settled
                            #expect(settled >= before, "a count went back")
                            seen.note(settled)
                            return settled > before || settled == total
                        }
                    }
                    kill(number, SIGKILL)
                }
                if run.code != 137 { break }
                kills += 1
            }
            #expect(kills >= 20, "there were enough tasks for the kills")
            #expect(try await site.work("-c", "16").allSatisfy { $0.code == 0 })
            let (json, counts) = try await site.status()
            #expect(json["status"] == "completed" && counts == BatchCounts(succeeded: total))
            #expect(try await site.sheaf("results", "last", "-o", "out.jsonl").code == 0)
            let indices = try site.bench.lines(of: "out.jsonl").map { line in
                try JSON.members(["index"], of: Array(line.utf8))["index"]?.intValue
            }
            #expect(indices.count == total && Set(indices).count == total)
            try await site.withClient { client in
                var (ends, checkpoints) = (0, 0)
                let batch = try await client.batch("last").info.id
                for entry in try await client.entries(of: client.names.journal)
                where JournalEntry(entry.message)?.event.type == "finished" {
                    ends += 1
                }
                for entry in try await client.entries(of: client.names.results(batch: batch))
                where ResultEvent(entry.message) == .checkpoint {
                    checkpoints += 1
                }
                #expect(checkpoints >= 1)
                print("F3 \(kind.rawValue): \(kills) kills, \(checkpoints) checkpoints, \(ends) 'finished'")
            }
        }
    }

    @Test(
        "Tasks that kill their worker fail as worker-lost and their neighbours succeed",
        arguments: BrokerKind.allCases,
        [1, 4]
    )
    func poisonAmongAThousand(kind: BrokerKind, poisons: Int) async throws {
        try await Site.with(kind) { site in
            try site.bench.write(Self.poison, to: "sheaf.yaml")
            let good = 1000
            var lines = (0..<good).map { "fine \($0)" }
            for number in 0..<poisons { lines.insert("poison \(number)", at: 100 + number * 200) }
            try await site.create("fragile", "-", "--no-shuffle", input: lines.joined(separator: "\n") + "\n")
            let crew = WorkerCrew(site, "-c", "64")
            #expect(try await crew.work(3).allSatisfy { $0.code == 0 })
            let deaths = await crew.deaths
            print("F8 \(kind.rawValue): \(poisons) poisons, \(deaths) workers died")
            #expect(deaths >= poisons)
            let rows = try await site.complete(BatchCounts(succeeded: good, failed: poisons))
            for row in rows where row["status"] == "failed" {
                #expect(row["error"]?["type"] == "worker-lost")
                #expect(row["record_id"]?.stringValue != nil)
            }
        }
    }

    @Test("A cancel that races with completion leaves one final status", arguments: BrokerKind.allCases)
    func cancelRacesWithCompletion(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            for round in 0..<8 {
                let total = 400
                try await site.create("echo", "-", input: (0..<total).map { "\($0)\n" }.joined())
                async let work: Workbench.Run = site.sheaf("run", "--until-empty", "-c", "8") { number in
                    // In even rounds the worker, which is also the aggregator, is killed while the cancel is in
                    // progress.
                    try await Task.sleep(for: .milliseconds(150 + round * 60))
                    if round.isMultiple(of: 2) { kill(number, SIGKILL) }
                }
                try await Task.sleep(for: .milliseconds(100 + round * 70))
                let cancel = try await site.sheaf("cancel", "last")
                #expect([0, 4].contains(cancel.code), "\(cancel.talk)")
                _ = try await work
                let wait = try await site.sheaf("wait", "last")
                #expect([0, 6].contains(wait.code), "\(wait.talk)")
                var seen: Set<String> = []
                for _ in 0..<3 {
                    let (json, counts) = try await site.status()
                    seen.insert("\(json["status"]?.stringValue ?? "") \(counts)")
                    #expect(counts.total == total && counts.pending == 0 && counts.running == 0)
                    #expect(json["status"] == (cancel.code == 0 ? "cancelled" : "completed"))
                    #expect(try await site.rows().count { $0["status"] != "cancelled" } == counts.settled)
                }
                #expect(seen.count == 1, "round \(round): \(seen)")
            }
        }
    }
}

/// The highest number of settled tasks seen so far.
private final class Progress: Sendable {
    private let most = Mutex(0)

    var settled: Int { most.withLock { $0 } }
    func note(_ count: Int) { most.withLock { $0 = max($0, count) } }
}

import Glibc
import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Creations that are killed and resumed.
    @Suite struct ResumeTests {
        @Test("A creation killed three times is resumed with bounded repeats", arguments: BrokerKind.allCases)
        func aCreatorIsKilledAndResumed(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let trial = CreationTrial(site: site, records: 10_000, kills: 3)
                let repeats = try await trial.run()
                #expect(repeats <= 3 * CreationTrial.repeatsPerKill)
            }
        }

        @Test("A creation from standard input is resumed only with the same input", arguments: BrokerKind.allCases)
        func aStreamIsFedAgain(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let (bench, total) = (site.bench, 3000)
                let lines = (0..<total).map { $0 % 500 == 7 ? "{broken \($0)" : "{\"n\":\($0)}" }
                try bench.write(lines.joined(separator: "\n") + "\n", to: "all")
                try bench.write(lines.prefix(2000).joined(separator: "\n") + "\n", to: "some")
                try bench.write(
                    lines.map { $0.replacing("17", with: "71") }.joined(separator: "\n") + "\n",
                    to: "other"
                )
                let run = "exec $SHEAF create echo - --no-shuffle --format jsonl --batch-id b1"
                let create = try await bench.shell("mkfifo in; exec 3<>in; cat some >&3 & \(run) <&3") { number in
                    try await site.published(2000, of: "b1")
                    kill(number, SIGKILL)
                }
                #expect(create.code == 137)
                let bare = try await site.sheaf("create", "--resume", "b1")
                #expect(bare.code == 64 && bare.talk.contains("feed it again"), "\(bare.talk)")
                let changed = try await bench.shell("$SHEAF create --resume b1 - < other")
                #expect(
                    changed.code == 65 && changed.talk.contains("the first 2000 records are not"),
                    "\(changed.talk)"
                )
                let short = try await bench.shell("head -n 1500 all | $SHEAF create --resume b1 -")
                #expect(short.code == 65 && short.talk.contains("ends after 1500 records"), "\(short.talk)")
                let resumed = try await bench.shell("$SHEAF create --resume b1 - --json < all")
                #expect(resumed.code == 0, "\(resumed.talk)")
                #expect(try resumed.json["total"]?.intValue == total)
                #expect(try resumed.json["resumed_at"]?.intValue == 2000)
                _ = try await site.work()
                let bad = lines.count { $0.hasPrefix("{broken") }
                let rows = try await site.complete(BatchCounts(succeeded: total - bad, failed: bad))
                for row in rows where row["status"] == "succeeded" {
                    #expect(row["output"]?["n"] == row["index"])
                }
            }
        }

        @Test("Of two creations with the same id exactly one wins", arguments: BrokerKind.allCases)
        func ofTwoCreatesOneWins(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                try site.bench.write((0..<50).map { "\($0)\n" }.joined(), to: "in.txt")
                for round in 0..<20 {
                    let runs = try await site.both("create", "echo", "in.txt", "--batch-id", "b\(round)")
                    #expect(runs.map(\.code).sorted() == [0, 4], "\(runs.map(\.talk))")
                    let loser = try #require(runs.first { $0.code == 4 })
                    #expect(loser.talk.contains("batch 'b\(round)'") && loser.output.isEmpty, "\(loser.talk)")
                    try await site.withClient { client in
                        let batch = try #require(Name("b\(round)"))
                        let queue = client.names.tasks(flow: site.echo, batch: batch, generation: 0)
                        #expect(try await client.broker.queueStatus(queue)?.ready == 50)
                    }
                }
            }
        }

        @Test("Two resumptions of one creation publish every task and do not conflict", arguments: BrokerKind.allCases)
        func ofTwoResumptionsOneWins(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let trial = CreationTrial(site: site, records: 10_000, kills: 0)
                try trial.write()
                for round in 0..<3 {
                    try await trial.createAndKill("r\(round)", beyond: 500)
                    let runs = try await site.both("create", "--resume", "r\(round)")
                    // A resumption that starts after the other has finished has nothing left to do and succeeds.
                    let losers = runs.filter { $0.code == 4 }
                    #expect(runs.allSatisfy { [0, 4].contains($0.code) } && losers.count < 2, "\(runs.map(\.talk))")
                    #expect(losers.allSatisfy { $0.talk.contains("being created by another process") })
                    let indices = try await trial.published("r\(round)")
                    #expect(Set(indices) == Set(0..<10_000))
                    #expect(indices.count <= 10_000 + CreationTrial.repeatsPerKill)
                }
            }
        }
    }
}

extension Site {
    /// Runs the same command in two processes at once.
    func both(_ arguments: String...) async throws -> [Workbench.Run] {
        try await withThrowingTaskGroup(of: Workbench.Run.self) { group in
            for _ in 0..<2 { group.addTask { try await bench.sheaf(arguments) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Waits until the journal reports at least `count` confirmed tasks of a batch.
    func published(_ count: Int, of batch: String) async throws {
        try await withClient { client in
            try await bench.until("\(count) tasks are confirmed") {
                // The batch may not exist yet.
                let info = try? await client.infoToResume(batch)
                return info?.published ?? 0 >= count
            }
        }
    }
}

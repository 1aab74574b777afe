import Glibc
import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Processes that are killed or asked to leave in the middle of their work.
    @Suite struct KillTests {
        @Test("Tasks of killed workers run again and each has one outcome", arguments: BrokerKind.allCases)
        func workersAreKilled(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 200
                try await site.create("noted", "-", input: (0..<total).map { "\($0)\n" }.joined())
                for _ in 0..<4 {
                    let before = try site.noted("begun").count
                    let run = try await site.sheaf("run") { number in
                        try await site.bench.until("the worker is at work") {
                            try site.noted("begun").count >= before + 12
                        }
                        kill(number, SIGKILL)
                    }
                    #expect(run.code == 137)
                }
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                let rows = try await site.complete(BatchCounts(succeeded: total))
                // A task that was running when its worker was killed has run again.
                let again = rows.filter { $0["attempts"] != 1 }
                #expect(again.count >= 4)
                #expect(Set(try site.noted("begun")) == Set(0..<total))
            }
        }

        @Test("Workers killed in the middle of short tasks lose and repeat no outcome", arguments: BrokerKind.allCases)
        func workersAreKilledInFullFlight(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 2500
                try await site.create("echo", "-", input: (0..<total).map { "\($0)\n" }.joined())
                for round in 1...3 {
                    let run = try await site.sheaf("run", "--until-empty") { number in
                        try await site.withClient { client in
                            try await site.bench.until("some tasks have ended") {
                                try await client.batch("last").counts.settled >= round * 200
                            }
                        }
                        kill(number, SIGKILL)
                    }
                    // The worker may have finished before it was killed.
                    #expect([0, 137].contains(run.code))
                }
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                let rows = try await site.complete(BatchCounts(succeeded: total))
                #expect(Set(rows.compactMap { $0["output"]?.stringValue }).count == total)
            }
        }

        @Test(
            "A worker that receives SIGTERM finishes its running tasks and takes no more",
            arguments: BrokerKind.allCases
        )
        func aWorkerIsToldToLeave(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                let total = 60
                try await site.create("noted", "-", input: (0..<total).map { "\($0)\n" }.joined())
                let run = try await site.sheaf("run") { number in
                    try await site.bench.until("tasks run") { try site.noted("begun").count >= 12 }
                    kill(number, SIGTERM)
                }
                #expect(run.code == 143, "\(run.talk)")
                #expect(!run.talk.contains("returned to the queue"), "\(run.talk)")
                // The worker finished its running tasks and reported them before it left.
                let ended = try site.noted("ended")
                #expect(Set(ended) == Set(try site.noted("begun")))
                #expect((12..<total).contains(ended.count))
                let counts = BatchCounts(pending: total - ended.count, succeeded: ended.count)
                #expect(try await site.status().counts == counts)
                #expect(try await site.work().allSatisfy { $0.code == 0 })
                try await site.complete(BatchCounts(succeeded: total))
                #expect(try site.noted("begun").sorted() == Array(0..<total))
            }
        }

        @Test(
            "A batch whose creator was killed is reported as interrupted and can be cancelled",
            arguments: BrokerKind.allCases
        )
        func aCreatorIsKilled(kind: BrokerKind) async throws {
            try await Site.with(kind) { site in
                // The pipe stays open: the creator publishes what it holds and then waits for more.
                let line = "mkfifo in; exec 3<>in; seq 5000 >&3 & exec $SHEAF create echo - --no-shuffle <&3"
                let create = try await site.bench.shell("\(line) --batch-id b1") { number in
                    try await site.withClient { client in
                        let queue = client.names.tasks(flow: site.echo, batch: Name("b1"), generation: 0)
                        try await site.bench.until("1,000 tasks are published") {
                            try await client.broker.queueStatus(queue)?.ready ?? 0 >= 1000
                        }
                    }
                    kill(number, SIGKILL)
                }
                #expect(create.code == 137)
                #expect(create.output.isEmpty)
                let status = try await site.sheaf("status", "last")
                #expect(status.output.contains("interrupted: its creator is gone"), "\(status.output)")
                #expect(try await site.status().json["interrupted"] == true)
                #expect(try await site.sheaf("list").output.contains("(interrupted)"))
                // Commands that wait for the batch report this and do not wait indefinitely.
                let run = try await site.sheaf("run", "--until-empty")
                #expect(run.code == 0)
                #expect(run.talk.contains("sheaf: batch b1 was never published in full"), "\(run.talk)")
                #expect(try await site.sheaf("run", "--until-empty", "--batch", "last").code == 1)
                let wait = try await site.sheaf("wait", "last")
                #expect(wait.code == 1)
                #expect(wait.talk.contains("creator is gone"), "\(wait.talk)")
                // The published tasks have run, and the batch can be cancelled.
                let counts = try await site.status().counts
                #expect(counts.succeeded >= 1000)
                #expect(try await site.sheaf("cancel", "last").code == 0)
                #expect(try await site.sheaf("wait", "last").code == 6)
                #expect(try await site.status().counts == BatchCounts(succeeded: counts.succeeded))
            }
        }
    }
}

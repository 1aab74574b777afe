import Sheaf
import SheafBroker
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// Two hundred workers killed over fifty thousand tasks, with the real command.
@Suite(.serialized, .timeLimit(.minutes(15))) struct WorkerKillTests {
    /// Very short tasks, so that most kills hit a task between its run, its outcome and its acknowledgement.
    private static let quick = 45_000
    /// Tasks that start a program, so that some kills hit a running task.
    private static let slow = 5_000
    private static let kills = 200
    /// Tasks left after the last kill.
    private static let rest = 3_000

    @Test("200 killed workers lose no task and count none twice", arguments: BrokerKind.allCases)
    func twoHundredKills(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            let start = ContinuousClock.now
            let batches = [("echo", "quick", Self.quick), ("words", "slow", Self.slow)]
            for (flow, batch, total) in batches {
                let lines = (0..<total).map { "\($0)\n" }.joined()
                try await site.create(flow, "-", "--batch-id", batch, input: lines)
            }
            let crew = WorkerCrew(site, "-c", "4")
            async let work = crew.work(3)
            try await kill(crew, at: site)
            #expect(try await work.allSatisfy { $0.code == 0 })
            #expect(await crew.deaths >= Self.kills)
            var (again, twice) = (0, 0)
            for (flow, batch, total) in batches {
                let rows = try await site.complete(BatchCounts(succeeded: total), of: batch)
                let sum = rows.compactMap { Self.number($0["output"]) }.reduce(0, +)
                #expect(sum == (flow == "echo" ? total * (total - 1) / 2 : total))
                again += rows.count { $0["attempts"] != 1 }
                twice += try await site.repeatedOutcomes(of: batch)
            }
            print(
                "F1 \(kind.rawValue): \(await crew.deaths) kills; \(again) tasks of more than one attempt, "
                    + "\(twice) outcomes written again; \(ContinuousClock.now - start)"
            )
        }
    }

    /// Kills workers one by one, each after a random number of tasks since the last kill.
    private func kill(_ crew: WorkerCrew, at site: Site) async throws {
        var random = SeededGenerator(state: 1)
        try await site.withClient { client in
            let queues = try [("echo", "quick"), ("words", "slow")].map { flow, batch in
                client.names.tasks(flow: try #require(Name(flow)), batch: try #require(Name(batch)), generation: 0)
            }
            for number in 0..<Self.kills {
                let left = try await client.waiting(in: queues)
                // On average, the remaining tasks last for the remaining kills.
                let most = 2 * max(10, left - Self.rest) / (Self.kills - number)
                let goal = left - Int.random(in: 0...most, using: &random)
                try await site.bench.until("a worker has died at \(goal) tasks", limit: .seconds(120)) {
                    guard try await client.waiting(in: queues) <= goal else { return false }
                    return await crew.kill(number.isMultiple(of: 10) ? .youngest : .oldest)
                }
            }
            #expect(try await client.waiting(in: queues) > 0, "there were enough tasks for the kills")
        }
    }

    /// The number in a task's output: the record itself, or a count of words.
    private static func number(_ output: JSONValue?) -> Int? {
        output?.intValue ?? output?.stringValue.flatMap { Int($0) }
    }
}

extension SheafClient {
    /// The number of tasks ready in these queues.
    fileprivate func waiting(in queues: [String]) async throws -> Int {
        var sum = 0
        for queue in queues { sum += try await broker.queueStatus(queue)?.ready ?? 0 }
        return sum
    }
}

extension Site {
    /// The number of outcomes in a batch's log beyond the first of each task.
    fileprivate func repeatedOutcomes(of batch: String) async throws -> Int {
        var (all, indices) = (0, Set<Int>())
        try await withClient { client in
            let log = client.names.results(batch: try #require(Name(batch)))
            for entry in try await client.entries(of: log) {
                guard case .outcomes(let outcomes, _) = ResultEvent(entry.message) else { continue }
                all += outcomes.count
                indices.formUnion(outcomes.map(\.index))
            }
        }
        return all - indices.count
    }
}

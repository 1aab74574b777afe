import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// A creation whose input goes on until the fault is over, and workers that run its tasks, on a RabbitMQ node of their
/// own.
struct BusySystem: Sendable {
    let node: RabbitMQNode
    let site: Site
    let workers: Int

    /// A program that writes which worker runs it, and takes long enough to keep every worker busy.
    private static let configuration = #"""
        flows:
          noted:
            exec: ["bash", "-c", 'echo "$PPID $SHEAF_TASK_INDEX" >> begun; sleep 0.2; echo "$SHEAF_TASK_INDEX" >> ended']
            retries: 0
        """#

    /// What the processes left: exit codes, output and results.
    struct Left {
        let create: Workbench.Run
        let workers: [Workbench.Run]
        /// The indices of the tasks in the order in which they began.
        let begun: [Int]
        let rows: [JSONValue]
    }

    /// Disturbs the running system, lets it finish, and checks that every task is complete.
    static func disturbed(
        workers: Int,
        by fault: (BusySystem) async throws -> Void,
        check: (Left) throws -> Void
    ) async throws {
        try await RabbitMQNode.with { node in
            try await Site.with(node) { site in
                try site.bench.write(configuration, to: "sheaf.yaml")
                try check(await BusySystem(node: node, site: site, workers: workers).run(fault))
            }
        }
    }

    private func run(_ fault: (BusySystem) async throws -> Void) async throws -> Left {
        let bench = site.bench
        // A few records at a time until the fault is over, and 200 after that; none once the folder is gone.
        let feed = """
            i=0
            while [ -e sheaf.yaml ] && [ ! -e over ]; do seq $i $((i + 4)); i=$((i + 5)); sleep 0.1; done
            seq $i $((i + 199))
            """
        let command = "$SHEAF create noted - --no-shuffle --batch-id b1 --json 2> create.talk"
        let line = "set -o pipefail; { \(feed); } | \(command)"
        async let create = bench.shell(line, limit: .seconds(300))
        try await bench.until("the batch exists") { try await bench.sheaf("status", "b1", "--json").code == 0 }
        async let work = work()
        try await bench.until("all workers run tasks") { try Set(begun().map(\.worker)).count == workers }
        do {
            try await fault(self)
        } catch {
            // The output of all processes shows why.
            for talk in ["create.talk"] + (0..<workers).map({ "worker-\($0).talk" }) {
                print("\(talk):", try bench.lines(of: talk).suffix(20).joined(separator: "\n"), separator: "\n")
            }
            throw error
        }
        try bench.write("", to: "over")
        let created = try await create
        let talk = try bench.lines(of: "create.talk")
        #expect(created.code == 0, "\(talk)")
        let total = try #require(try created.json["total"]?.intValue)
        let runs = try await work
        #expect(runs.allSatisfy { $0.code == 0 }, "\(runs)")
        let rows = try await site.complete(BatchCounts(succeeded: total))
        let indices = try begun().map(\.index)
        #expect(Set(indices) == Set(0..<total))
        return Left(create: created, workers: runs, begun: indices, rows: rows)
    }

    private func work() async throws -> [Workbench.Run] {
        try await withThrowingTaskGroup(of: Workbench.Run.self) { group in
            for number in 0..<workers {
                let line = "exec $SHEAF run --until-empty -c 4 2> worker-\(number).talk"
                group.addTask { try await site.bench.shell(line, limit: .seconds(300)) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// The tasks that began, with the workers that ran them.
    func begun() throws -> [(worker: Int, index: Int)] {
        try site.bench.lines(of: "begun").compactMap { line in
            let numbers = line.split(separator: " ").compactMap { Int($0) }
            return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
        }
    }

    /// Whether the creator has printed these words exactly once.
    func creatorSays(_ words: String) throws -> Bool {
        try site.bench.lines(of: "create.talk").count { $0.contains(words) } == 1
    }

    /// Whether each worker has printed these words exactly once.
    func workersSay(_ words: String) throws -> Bool {
        try (0..<workers).allSatisfy { number in
            try site.bench.lines(of: "worker-\(number).talk").count { $0.contains(words) } == 1
        }
    }
}

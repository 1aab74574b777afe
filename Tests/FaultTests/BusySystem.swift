import Sheaf
import SheafCore
import SheafTesting
import Testing

/// A creation that is fed as long as it is wanted, and workers that run its tasks meanwhile, at a RabbitMQ of their own.
struct BusySystem: Sendable {
    let node: RabbitMQNode
    let site: Site
    let workers: Int

    /// A program that says by which worker it is run, and takes so long that no worker is without a task for long.
    private static let configuration = #"""
        flows:
          noted:
            exec: ["bash", "-c", 'echo "$PPID $SHEAF_TASK_INDEX" >> begun; sleep 0.2; echo "$SHEAF_TASK_INDEX" >> ended']
            retries: 0
        """#

    /// What everybody has left.
    struct Left {
        let create: Workbench.Run
        let workers: [Workbench.Run]
        /// The indices of the tasks in the order in which they were begun.
        let begun: [Int]
        let rows: [JSONValue]
    }

    /// Disturbs the system at work, lets it come to its end, and checks that all is complete.
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
        // A few records at a time until the fault is over, and some after that; none for a folder that is gone.
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
        try await bench.until("all are at work") { try Set(begun().map(\.worker)).count == workers }
        do {
            try await fault(self)
        } catch {
            // What everybody said tells why.
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

    /// Which tasks were begun, and by which workers.
    func begun() throws -> [(worker: Int, index: Int)] {
        try site.bench.lines(of: "begun").compactMap { line in
            let numbers = line.split(separator: " ").compactMap { Int($0) }
            return numbers.count == 2 ? (numbers[0], numbers[1]) : nil
        }
    }

    /// Whether the creator has said something once.
    func creatorSays(_ words: String) throws -> Bool {
        try site.bench.lines(of: "create.talk").count { $0.contains(words) } == 1
    }

    /// Whether each worker has said something once.
    func workersSay(_ words: String) throws -> Bool {
        try (0..<workers).allSatisfy { number in
            try site.bench.lines(of: "worker-\(number).talk").count { $0.contains(words) } == 1
        }
    }
}

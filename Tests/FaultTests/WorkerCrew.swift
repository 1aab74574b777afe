import Glibc
import SheafTestSupport
import SheafTestTools

/// Workers that run side by side until every batch is finished; a killed worker is replaced.
actor WorkerCrew {
    /// Which worker to kill.
    enum Victim {
        /// The worker that most certainly runs tasks.
        case oldest
        /// The worker that started last, which may not have received a task yet.
        case youngest
    }

    private let site: Site
    private let arguments: [String]
    /// The living workers, oldest first.
    private var living: [(place: Int, process: Int32)] = []
    /// How many workers were killed, by this test or by a task.
    private(set) var deaths = 0

    init(_ site: Site, _ arguments: String...) {
        self.site = site
        self.arguments = ["run", "--until-empty"] + arguments
    }

    /// Keeps `count` workers running until every batch is finished; returns how the last worker of each place ended.
    nonisolated func work(_ count: Int) async throws -> [Workbench.Run] {
        try await withThrowingTaskGroup(of: Workbench.Run.self) { group in
            for place in 0..<count { group.addTask { try await self.fill(place) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Kills a worker; returns false if there was none.
    func kill(_ victim: Victim) -> Bool {
        guard !living.isEmpty else { return false }
        let worker = victim == .oldest ? living.removeFirst() : living.removeLast()
        return Glibc.kill(worker.process, SIGKILL) == 0
    }

    private func fill(_ place: Int) async throws -> Workbench.Run {
        while true {
            let run = try await site.bench.sheaf(arguments, limit: .seconds(800)) { process in
                await self.begin(place, process)
            }
            living.removeAll { $0.place == place }
            guard run.code == 128 + SIGKILL else { return run }
            deaths += 1
        }
    }

    private func begin(_ place: Int, _ process: Int32) { living.append((place, process)) }
}

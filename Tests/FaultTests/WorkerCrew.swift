import Glibc
import SheafTesting

/// Workers at work side by side until all is done; where one is killed, another begins.
actor WorkerCrew {
    /// Which worker is to die.
    enum Victim {
        /// The one that is most surely at work.
        case oldest
        /// The one that has only begun, so that it may not have got its first task yet.
        case youngest
    }

    private let site: Site
    private let arguments: [String]
    /// Those that live, the oldest first.
    private var living: [(place: Int, process: Int32)] = []
    /// How many were killed, by whomever.
    private(set) var deaths = 0

    init(_ site: Site, _ arguments: String...) {
        self.site = site
        self.arguments = ["run", "--until-empty"] + arguments
    }

    /// Keeps so many at work until all is done; returns how the last one of each place ended.
    nonisolated func work(_ count: Int) async throws -> [Workbench.Run] {
        try await withThrowingTaskGroup(of: Workbench.Run.self) { group in
            for place in 0..<count { group.addTask { try await self.fill(place) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Kills one, and says whether there was one to kill.
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

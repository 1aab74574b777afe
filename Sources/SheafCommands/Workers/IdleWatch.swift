import Foundation
import Glibc
import SheafFlows
import Synchronization

/// Watches the machine for a worker that runs only while the machine is idle.
final class IdleWatch: Sendable {
    private let machine: Mutex<IdleMachine>
    private let running = Mutex(0)
    private let interval: Duration
    private let look: @Sendable () -> IdleMachine.Sight

    /// Creates a watch; `look` observes the machine.
    init(
        cores: Int = ProcessInfo.processInfo.activeProcessorCount,
        interval: Duration = IdleMachine.interval,
        look: @escaping @Sendable () -> IdleMachine.Sight = IdleMachine.Sight.now
    ) {
        machine = Mutex(IdleMachine(cores: cores))
        self.interval = interval
        self.look = look
    }

    /// Returns the same flow, counted while it runs, so that the load of our own tasks can be subtracted.
    func counting(_ definition: FlowDefinition) -> FlowDefinition {
        var definition = definition
        definition.flow = CountedFlow(flow: definition.flow) { change in self.running.withLock { $0 += change } }
        return definition
    }

    /// Returns once the machine is idle; calls `report` with the reason if it has to wait.
    func untilIdle(_ report: (String) -> Void) async throws {
        var hasReported = false
        while let reason = reason() {
            if !hasReported { report(reason) }
            hasReported = true
            try await wait()
        }
    }

    /// Returns the reason once the machine is no longer idle.
    func untilNeeded() async throws -> String {
        while true {
            try await wait()
            if let reason = reason() { return reason }
        }
    }

    private func reason() -> String? { machine.withLock { $0.reason(look()) } }

    private func wait() async throws {
        try await Task.sleep(for: interval)
        let running = running.withLock { $0 }
        machine.withLock { $0.note(running: running, for: interval) }
    }
}

/// A flow that counts its running tasks.
private struct CountedFlow: Flow {
    let flow: any Flow
    let change: @Sendable (Int) -> Void

    func run(_ task: FlowTask) async throws -> FlowOutput {
        change(1)
        defer { change(-1) }
        return try await flow.run(task)
    }

    func shutDown() async { await flow.shutDown() }
}

/// Decides whether the machine is idle, by its load and the input at its terminals.
struct IdleMachine: Sendable {
    /// An observation of a machine.
    struct Sight: Sendable, Equatable {
        /// The load average of the last minute; nil if it is unknown.
        var load: Double?
        /// The time since the last input at a terminal; nil if there is no terminal.
        var sinceInput: Duration?
    }

    /// The load of other programs per core up to which the machine is idle.
    static let quietLoad = 0.5
    /// How long there must have been no input.
    static let quietTime = Duration.seconds(300)
    /// The time between two observations.
    static let interval = Duration.seconds(5)
    /// The time constant, in seconds, of the kernel's load average.
    private static let averaging = 60.0

    private let cores: Int
    /// The load of our own tasks, averaged as the kernel does.
    private var ownLoad = 0.0

    init(cores: Int) { self.cores = cores }

    /// Records how many of our tasks ran during a time.
    mutating func note(running: Int, for time: Duration) {
        let share = exp(-(time / .seconds(1)) / Self.averaging)
        ownLoad = ownLoad * share + Double(running) * (1 - share)
    }

    /// Returns why the machine is not idle, or nil if it is idle.
    func reason(_ sight: Sight) -> String? {
        if let since = sight.sinceInput, since < Self.quietTime {
            return "there was input at a terminal \(Wording.duration(since)) ago"
        }
        guard let load = sight.load else { return nil }
        // Tasks that wait for a network add nothing to the load, so the difference may be negative.
        let others = max(0, load - ownLoad)
        guard others > Self.quietLoad * Double(cores) else { return nil }
        let shown = (others * 10).rounded() / 10
        return "other programs use the machine (a load of \(shown) on \(Wording.count(cores, "core")))"
    }
}

extension IdleMachine.Sight {
    /// Observes this machine.
    static func now() -> IdleMachine.Sight {
        var load = 0.0
        let isKnown = getloadavg(&load, 1) == 1
        return IdleMachine.Sight(load: isKnown ? load : nil, sinceInput: sinceInput(at: terminals()))
    }

    /// Returns the terminals of this machine that are visible.
    private static func terminals() -> [String] {
        let virtual = entries(of: "/dev/pts").filter { Int($0) != nil }.map { "/dev/pts/\($0)" }
        let real = entries(of: "/dev").filter { $0.hasPrefix("tty") && Int($0.dropFirst(3)) != nil }.map {
            "/dev/\($0)"
        }
        return virtual + real
    }

    private static func entries(of folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
        }
        return names
    }

    /// Returns how long ago one of these terminals was read from, which happens on input.
    static func sinceInput(at terminals: [String]) -> Duration? {
        let now = time(nil)
        let times = terminals.compactMap { path -> Int? in
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { return nil }
            return status.st_atim.tv_sec
        }
        return times.max().map { .seconds(max(0, now - $0)) }
    }
}

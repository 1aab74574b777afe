/// Decides when a process and its group get which signal, and when everything is over; pure, without I/O.
struct ProcessLifecycle: Sendable {
    /// How long to wait before each stronger measure.
    struct Patience: Sendable {
        /// From SIGTERM to SIGKILL.
        var termination: Duration = .seconds(2)
        /// From the end of the process to SIGKILL for processes that still hold its output open.
        var output: Duration = .seconds(1)
        /// From SIGKILL to giving up on output that a process outside the group holds open.
        var stragglers: Duration = .milliseconds(200)
    }

    /// Why we ended a process.
    enum Stop: Sendable {
        case outputTooLarge
        case cancelled
    }

    enum Event: Sendable, Equatable {
        /// The process has ended.
        case exited
        /// All writing ends of standard output and standard error are closed.
        case outputClosed
        /// The process wrote more output than allowed.
        case outputTooLarge
        /// The task was cancelled.
        case cancelled
        /// A wait that ``Action/wait(_:number:)`` asked for is over.
        case waited(number: Int)
    }

    enum Action: Sendable, Equatable {
        case terminateGroup
        case killGroup
        /// Report ``Event/waited(number:)`` after that time.
        case wait(Duration, number: Int)
        /// Everything is over.
        case finish
    }

    private enum Phase {
        case running
        /// The process has ended, and its output is still open.
        case draining
        case terminating
        case killed
        case finished
    }

    private let patience: Patience
    private var phase = Phase.running
    private var hasExited = false
    private var isOutputClosed = false
    private var waits = 0
    /// Why the process was ended; nil if it ended by itself.
    private(set) var stop: Stop?

    init(patience: Patience = Patience()) {
        self.patience = patience
    }

    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .exited: hasExited = true
        case .outputClosed: isOutputClosed = true
        case .outputTooLarge, .cancelled:
            guard phase == .running || phase == .draining else { return [] }
            stop = event == .cancelled ? .cancelled : .outputTooLarge
            if phase == .draining { return kill() }
            phase = .terminating
            return [.terminateGroup, wait(patience.termination)]
        case .waited(let number):
            // A later wait has taken its place.
            guard number == waits else { return [] }
            if phase == .draining || phase == .terminating { return kill() }
            return phase == .killed && hasExited ? finish() : []
        }
        guard hasExited else { return [] }
        if isOutputClosed { return finish() }
        switch phase {
        case .running:
            phase = .draining
            return [wait(patience.output)]
        case .killed where event == .exited: return [wait(patience.stragglers)]
        default: return []
        }
    }

    private mutating func kill() -> [Action] {
        phase = .killed
        return [.killGroup, wait(patience.stragglers)]
    }

    /// Ends with SIGKILL in every case, so that no process outlives its task.
    private mutating func finish() -> [Action] {
        guard phase != .finished else { return [] }
        phase = .finished
        return [.killGroup, .finish]
    }

    private mutating func wait(_ duration: Duration) -> Action {
        waits += 1
        return .wait(duration, number: waits)
    }
}

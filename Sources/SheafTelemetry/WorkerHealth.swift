package import SheafCore
package import SheafFlows
package import SheafWorker
import Synchronization

/// Whether a worker is alive and takes tasks.
package final class WorkerHealth: WorkerObserver {
    private struct State {
        var lastLook: ContinuousClock.Instant?
        var isLeaving = false
        var isConnected = true
    }

    /// How long the worker may be silent.
    private static let patience = Duration.seconds(60)
    private let state = Mutex(State())

    /// Creates the health of a worker that has not begun yet.
    package init() {}

    /// Whether the worker's own loop has turned lately; an unreachable broker does not matter, since a restart would
    /// not help.
    package var isAlive: Bool { isAlive(at: .now) }

    /// Whether the worker takes tasks now.
    package var isReady: Bool { state.withLock { $0.lastLook != nil && !$0.isLeaving && $0.isConnected } && isAlive }

    func isAlive(at now: ContinuousClock.Instant) -> Bool {
        state.withLock { state in state.lastLook.map { now - $0 < Self.patience } ?? true }
    }

    /// Records that no worker runs for now.
    package func rest() { state.withLock { $0 = State() } }

    package func loadMeasured(_ load: WorkerLoad) {
        state.withLock { state in
            state.lastLook = .now
            state.isLeaving = load.isLeaving
        }
    }

    package func connectionChanged(to connection: WorkerConnectionState) {
        state.withLock { $0.isConnected = connection == .connected }
    }
}

/// Passes everything to several observers.
package struct ObserverGroup: WorkerObserver {
    private let observers: [any WorkerObserver]

    /// Creates a group.
    package init(_ observers: [any WorkerObserver]) { self.observers = observers }

    package func traceContext(for task: ObservedTask) -> TraceContext? {
        let origin = task.trace
        var place = origin
        for observer in observers where place == origin { place = observer.traceContext(for: task) }
        return place
    }
    package func taskBegan(_ task: ObservedTask) { for observer in observers { observer.taskBegan(task) } }
    package func taskEnded(_ task: ObservedTask, outcome: Outcome) {
        for observer in observers { observer.taskEnded(task, outcome: outcome) }
    }
    package func taskRetried(_ task: ObservedTask, error: FlowError, delay: Duration) {
        for observer in observers { observer.taskRetried(task, error: error, delay: delay) }
    }
    package func tasksReturned(_ count: Int, toQueueOf batch: Name?) {
        for observer in observers { observer.tasksReturned(count, toQueueOf: batch) }
    }
    package func taskThrottled(_ task: ObservedTask, by limit: RateLimitKey, throttle: FlowThrottle) {
        for observer in observers { observer.taskThrottled(task, by: limit, throttle: throttle) }
    }
    package func taskLeased(batch: Name, index: Int, generation: Int) {
        for observer in observers { observer.taskLeased(batch: batch, index: index, generation: generation) }
    }
    package func connectionChanged(to state: WorkerConnectionState) {
        for observer in observers { observer.connectionChanged(to: state) }
    }
    package func outcomesConfirmed(_ count: Int, after duration: Duration) {
        for observer in observers { observer.outcomesConfirmed(count, after: duration) }
    }
    package func loadMeasured(_ load: WorkerLoad) { for observer in observers { observer.loadMeasured(load) } }
}

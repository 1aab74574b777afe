import Glibc

/// The executor of one connection: a thread that alternates between the actor's jobs and its socket.
///
/// The thread retains the actor until the connection has ended, and runs a turn of it after each batch of jobs. A
/// short-lived thread runs later jobs, so that calls on a closed connection still return.
final class EventLoopThread: SerialExecutor {
    private enum Mode: Sendable {
        case stopped
        case running
    }

    private struct State: Sendable {
        var mode = Mode.stopped
        var thread: pthread_t?
        var jobs: [UnownedJob] = []
        var isAsleep = false
    }

    private let state = Locked(State())
    private let wake: WakeDescriptor

    init() throws(AMQPError) { wake = try WakeDescriptor() }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let (mustWake, mustStart) = state.withLock { state in
            state.jobs.append(job)
            let result = (state.isAsleep, state.mode == .stopped)
            state.isAsleep = false
            state.mode = .running
            return result
        }
        if mustWake { wake.signal() }
        // If no thread can be started, the jobs run here; the mode ensures that no other thread runs them.
        if mustStart, SystemThread.start({ self.runLeftovers() }) != 0 { runLeftovers() }
    }

    func isIsolatingCurrentContext() -> Bool? {
        let current = pthread_self()
        return state.withLock { state in state.thread.map { pthread_equal($0, current) != 0 } ?? false }
    }

    func checkIsolated() {
        precondition(isIsolatingCurrentContext() == true, "not on the thread of the connection")
    }

    /// Starts the thread that serves a connection until its plan is finished.
    func serve(_ connection: AMQPConnection) throws(AMQPError) {
        state.withLock { $0.mode = .running }
        let code = SystemThread.start { self.run(connection) }
        guard code == 0 else {
            state.withLock { $0.mode = .stopped }
            throw AMQPError(
                .connectionFailed,
                "cannot start a thread for the connection: \(describe(code))",
                systemError: code
            )
        }
    }

    private func run(_ connection: AMQPConnection) {
        nameThisThread("amqp-\(connection.epoch)")
        begin()
        while true {
            runJobs()
            let plan = connection.assumeIsolated { $0.turn() }
            if plan.isFinished { break }
            sleep(plan)
        }
        runLeftovers()
    }

    private func runLeftovers() {
        begin()
        repeat { runJobs() } while !stop()
    }

    private func begin() {
        let current = pthread_self()
        state.withLock { $0.thread = current }
    }

    private func stop() -> Bool {
        state.withLock { state in
            guard state.jobs.isEmpty else { return false }
            state.mode = .stopped
            state.thread = nil
            return true
        }
    }

    private func runJobs() {
        let jobs = state.withLock { state in
            let jobs = state.jobs
            state.jobs = []
            return jobs
        }
        for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
    }

    private func sleep(_ plan: TurnPlan) {
        let sleeps = state.withLock { state in
            state.isAsleep = state.jobs.isEmpty && plan.wait > .zero
            return state.isAsleep
        }
        guard sleeps else { return }
        wake.wait(plan)
        state.withLock { $0.isAsleep = false }
    }
}

/// The events that a connection waits for after a turn.
struct TurnPlan: Sendable {
    /// The socket, or -1 if there is none.
    var socket: Int32 = -1
    /// Whether to wake when the socket becomes writable.
    var wantsToWrite = false
    /// The maximum wait; zero to continue immediately.
    var wait: Duration = .seconds(60)
    /// Whether the connection has ended and its thread can exit.
    var isFinished = false
}

/// Starts threads.
enum SystemThread {
    private final class Start: Sendable {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs a closure on a new detached thread; returns 0, or the `errno` if no thread could be created.
    static func start(_ body: @escaping @Sendable () -> Void) -> Int32 {
        let start = Unmanaged.passRetained(Start(body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread,
            nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            },
            start.toOpaque()
        )
        if code == 0 { pthread_detach(thread) } else { start.release() }
        return code
    }
}

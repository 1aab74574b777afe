import Glibc

/// The executor of one connection: a thread that runs the actor's jobs between looking at its socket.
///
/// While the connection lives, the thread holds the actor and gives it a turn after each batch of jobs. Jobs that come
/// after that are run by a short-lived thread, so that every call of a closed connection still gets its answer.
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

    init() throws(AMQPError) { self.wake = try WakeDescriptor() }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let (mustWake, mustStart) = self.state.withLock { state in
            state.jobs.append(job)
            let result = (state.isAsleep, state.mode == .stopped)
            state.isAsleep = false
            state.mode = .running
            return result
        }
        if mustWake { self.wake.signal() }
        // Without a thread the jobs run here: the mode says that nobody else does.
        if mustStart, SystemThread.start({ self.runLeftovers() }) != 0 { self.runLeftovers() }
    }

    func isIsolatingCurrentContext() -> Bool? {
        let current = pthread_self()
        return self.state.withLock { state in state.thread.map { pthread_equal($0, current) != 0 } ?? false }
    }

    func checkIsolated() {
        precondition(self.isIsolatingCurrentContext() == true, "not on the thread of the connection")
    }

    /// Starts the thread that serves a connection until it says that it is finished.
    func serve(_ connection: AMQPConnection) throws(AMQPError) {
        self.state.withLock { $0.mode = .running }
        let code = SystemThread.start { self.run(connection) }
        guard code == 0 else {
            self.state.withLock { $0.mode = .stopped }
            throw AMQPError(.connectionFailed, "no thread for the connection", systemError: code)
        }
    }

    private func run(_ connection: AMQPConnection) {
        nameThisThread("amqp-\(connection.epoch)")
        self.begin()
        while true {
            self.runJobs()
            let plan = connection.assumeIsolated { $0.turn() }
            if plan.isFinished { break }
            self.sleep(plan)
        }
        self.runLeftovers()
    }

    private func runLeftovers() {
        self.begin()
        repeat { self.runJobs() } while !self.stop()
    }

    private func begin() {
        let current = pthread_self()
        self.state.withLock { $0.thread = current }
    }

    private func stop() -> Bool {
        self.state.withLock { state in
            guard state.jobs.isEmpty else { return false }
            state.mode = .stopped
            state.thread = nil
            return true
        }
    }

    private func runJobs() {
        let jobs = self.state.withLock { state in
            let jobs = state.jobs
            state.jobs = []
            return jobs
        }
        for job in jobs { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    private func sleep(_ plan: TurnPlan) {
        let sleeps = self.state.withLock { state in
            state.isAsleep = state.jobs.isEmpty && plan.wait > .zero
            return state.isAsleep
        }
        guard sleeps else { return }
        self.wake.wait(plan)
        self.state.withLock { $0.isAsleep = false }
    }
}

import Dispatch
import Foundation
import Synchronization

/// Threads for what blocks its thread while a process runs: as many as processes run at once, and all they do is wait.
///
/// One that has nothing to do waits a while for the next process, which spares making another.
final class SupervisorThreads: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        /// How many threads wait for which no job has come.
        var idle = 0
    }

    /// Those of this process.
    static let shared = SupervisorThreads()

    /// Enough for a supervisor, which calls next to nothing.
    private static let stackSize = 256 << 10
    private static let patience = DispatchTimeInterval.seconds(5)

    private let state = Mutex(State())
    /// Signalled once for each job.
    private let bell = DispatchSemaphore(value: 0)

    /// Runs a job on a thread that does nothing else meanwhile.
    func run(_ job: @escaping @Sendable () -> Void) {
        let isTaken = state.withLock { state in
            state.jobs.append(job)
            if state.idle == 0 { return false }
            state.idle -= 1
            return true
        }
        if !isTaken {
            let thread = Thread { [self] in work() }
            thread.stackSize = Self.stackSize
            thread.start()
        }
        bell.signal()
    }

    private func work() {
        while true {
            if bell.wait(timeout: .now() + Self.patience) == .timedOut {
                // Where all that wait have a job, this one's is just coming.
                let isIdle = state.withLock { state in
                    if state.idle == 0 { return false }
                    state.idle -= 1
                    return true
                }
                if isIdle { return }
            } else {
                state.withLock { $0.jobs.removeFirst() }()
                state.withLock { $0.idle += 1 }
            }
        }
    }
}

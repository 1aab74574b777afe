import Dispatch
import Foundation
import Subprocess
import Synchronization
import SystemPackage

/// One process, from its start to the end of everything it started.
struct ChildProcess: Sendable {
    private let configuration: Configuration
    private let input: [UInt8]
    private let maximumOutput: Int
    private let patience: ProcessLifecycle.Patience

    init(_ configuration: Configuration, input: [UInt8], maximumOutput: Int, patience: ProcessLifecycle.Patience) {
        self.configuration = configuration
        self.input = input
        self.maximumOutput = maximumOutput
        self.patience = patience
    }

    /// Runs the process; if the calling task is cancelled, the process and its group are ended before this returns.
    ///
    /// The pipes are our own: Subprocess stops reading as soon as the process ends, so that output which a helper
    /// process writes a little later, as in `> >(sort)`, would be lost.
    func run() async throws -> ProcessEnding {
        let pipes = try ProcessPipes(input: input)
        defer { pipes.close() }
        // Shielded, because on cancellation Subprocess would end the leader alone, and at once.
        let running = Task {
            try await Subprocess.run(
                configuration,
                input: .fileDescriptor(pipes.input, closeAfterSpawningProcess: true),
                output: .fileDescriptor(pipes.output.writeEnd, closeAfterSpawningProcess: true),
                error: .fileDescriptor(pipes.errors.writeEnd, closeAfterSpawningProcess: true)
            ) { execution in
                await supervise(execution.processIdentifier, pipes)
            }
        }
        let execution = try await withTaskCancellationHandler {
            try await running.value
        } onCancel: {
            pipes.cancel()
        }
        if execution.closureResult.stop == .cancelled { throw CancellationError() }
        return ProcessEnding(status: execution.terminationStatus, report: execution.closureResult)
    }

    /// Supervises the process on a thread of its own.
    private func supervise(_ process: ProcessIdentifier, _ pipes: ProcessPipes) async -> ProcessReport {
        await withCheckedContinuation { continuation in
            SupervisorThreads.shared.run { [patience, maximumOutput] in
                var supervisor = ProcessSupervisor(
                    process,
                    pipes: pipes,
                    lifecycle: ProcessLifecycle(patience: patience),
                    maximumOutput: maximumOutput
                )
                continuation.resume(returning: supervisor.run())
            }
        }
    }
}

/// Threads for code that blocks while a process runs: one for each running process.
///
/// An idle thread waits for the next process for a while, which is cheaper than making a new thread.
private final class SupervisorThreads: Sendable {
    private struct State {
        var jobs: [@Sendable () -> Void] = []
        /// How many threads wait for a job and have none assigned.
        var idle = 0
    }

    /// The threads of this process.
    static let shared = SupervisorThreads()

    /// Enough for a supervisor, which calls next to nothing.
    private static let stackSize = 256 << 10
    private static let patience = DispatchTimeInterval.seconds(5)

    private let state = Mutex(State())
    /// Signalled once for each job.
    private let bell = DispatchSemaphore(value: 0)

    /// Runs a job on a thread that does nothing else in the meantime.
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
                // If no waiting thread is counted as idle, a job for this thread is about to come.
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

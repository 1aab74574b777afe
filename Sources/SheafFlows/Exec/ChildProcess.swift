import Dispatch
import Foundation
import Subprocess
import Synchronization
import SystemPackage

/// One process from its start to the end of everything it started.
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

    /// Runs it; when the calling task is cancelled, the process and its group are ended before this returns.
    ///
    /// The pipes are our own: Subprocess gives up reading the moment the process ends, and what a helper of it writes
    /// a little later, as in `> >(sort)`, would be lost.
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

    /// Follows the process on a thread of its own.
    private func supervise(_ process: ProcessIdentifier, _ pipes: ProcessPipes) async -> ProcessReport {
        await withCheckedContinuation { continuation in
            SupervisorThreads.shared.run { [patience, maximumOutput] in
                var supervisor = ProcessSupervisor(
                    process,
                    pipes: pipes,
                    lifecycle: ProcessLifecycle(patience: patience),
                    maximumOutput: maximumOutput
                )
                continuation.resume(returning: supervisor.follow())
            }
        }
    }
}

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

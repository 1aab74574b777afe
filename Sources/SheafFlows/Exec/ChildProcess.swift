import Subprocess
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

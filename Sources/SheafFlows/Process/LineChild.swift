import Subprocess
import Synchronization
import SystemPackage

/// A process that lives for many tasks and speaks in lines; used by one slot at a time.
///
/// What it writes is read on the thread of the ``DescriptorWatcher``, which wakes the task that waits for it.
final class LineChild: Sendable {
    /// What a task that waits hears.
    enum Event: Sendable {
        /// A line without its line break.
        case line([UInt8])
        /// A line was longer than allowed.
        case lineTooLong
        /// It has ended, or closed its standard input or output.
        case closed
        /// The task was cancelled.
        case cancelled
    }

    /// How the process is to come to its end.
    enum Ending: Sendable {
        /// Its standard input is closed, and it gets some time to end by itself.
        case retired
        /// It gets SIGTERM at once.
        case killed
        /// It gets SIGKILL at once: it would go on with tasks that another has got meanwhile.
        case cutOff
    }

    /// What it worked on when it wrote to standard error.
    enum ErrorSource: Sendable, Equatable {
        case nothing
        case task(String)
        /// One of those from the one to the other, which it has been handed together.
        case tasks(String, String)
    }

    /// What has become of it.
    enum Fate: Sendable {
        /// It has ended by itself, or did not and was ended.
        case ended(TerminationStatus, byUs: Bool)
        case notStarted(any Error)
    }

    let maximumLine: Int
    let watcher: DescriptorWatcher
    /// Hears every line of standard error, with the task it works on at that time.
    let onError: @Sendable (String, ErrorSource) -> Void
    let state: Mutex<ChildState>
    private let life = Mutex<Task<Fate, Never>?>(nil)

    /// Starts a process; a failure to start is heard as ``Event/closed``.
    init(
        _ configuration: Configuration,
        maximumLine: Int,
        patience: ProcessLifecycle.Patience,
        onError: @escaping @Sendable (String, ErrorSource) -> Void
    ) throws(Errno) {
        guard let watcher = DescriptorWatcher.shared else { throw .tooManyOpenFiles }
        let pipes = try ChildPipes()
        self.maximumLine = maximumLine
        self.watcher = watcher
        self.onError = onError
        self.state = Mutex(ChildState(pipes))
        watchOutputs()
        // It holds on to the child until the process is over.
        let life = Task { await self.live(configuration, pipes, patience) }
        self.life.withLock { $0 = life }
    }

    /// What has become of the process, once it is over.
    func fate() async -> Fate? { await life.withLock { $0 }?.value }

    /// Has the process end, or end sooner; ``fate()`` tells when it has.
    func end(_ ending: Ending) {
        let ender = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.wanted == nil || state.wanted == .retired { state.wanted = ending }
            closeInput(&state)
            defer { state.ender = nil }
            return state.ender
        }
        ender?.resume()
    }

    private func live(
        _ configuration: Configuration,
        _ pipes: ChildPipes,
        _ patience: ProcessLifecycle.Patience
    ) async -> Fate {
        defer { closeAll() }
        do {
            let run = try await Subprocess.run(
                configuration,
                input: .fileDescriptor(pipes.inputEnd, closeAfterSpawningProcess: true),
                output: .fileDescriptor(pipes.output.writeEnd, closeAfterSpawningProcess: true),
                error: .fileDescriptor(pipes.errors.writeEnd, closeAfterSpawningProcess: true)
            ) { execution in
                watchExit(of: execution.processIdentifier)
                await untilEnding()
                var patience = patience
                if state.withLock({ $0.wanted == .cutOff }) { patience.termination = .zero }
                let hasEnded = await ProcessGroup(execution.processIdentifier).end(patience) {
                    self.state.withLock { $0.wanted != .retired }
                }
                forgetExit()
                return hasEnded
            }
            return .ended(run.terminationStatus, byUs: !run.closureResult)
        } catch {
            return .notStarted(error)
        }
    }

    private func untilEnding() async {
        await withCheckedContinuation { continuation in
            let isWanted = state.withLock { state in
                if state.wanted == nil { state.ender = continuation }
                return state.wanted != nil
            }
            if isWanted { continuation.resume() }
        }
    }
}

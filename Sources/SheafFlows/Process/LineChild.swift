import Glibc
import Subprocess
import Synchronization
import SystemPackage

/// A process that lives for many tasks and exchanges lines with us; used by one slot at a time.
///
/// Its output is read on the thread of the ``DescriptorWatcher``, which wakes the task that waits for a line.
final class LineChild: Sendable {
    /// An event that a task waits for.
    enum Event: Sendable {
        /// A line without its line break.
        case line([UInt8])
        /// A line was longer than allowed.
        case lineTooLong
        /// The process has ended, or closed its standard input or output.
        case closed
        /// The task was cancelled.
        case cancelled
    }

    /// How the process is to be ended.
    enum Ending: Sendable {
        /// Close its standard input, and give it time to end by itself.
        case retired
        /// Send SIGTERM at once.
        case killed
        /// Send SIGKILL at once: it would go on with tasks that another child is about to get.
        case cutOff
    }

    /// The task that it may have worked on when it wrote to standard error.
    enum ErrorSource: Sendable, Equatable {
        case nothing
        case task(String)
        /// One of several tasks, given by the first and the last, that it was handed together.
        case tasks(String, String)
    }

    /// How the process ended.
    enum Fate: Sendable {
        /// It ended, by itself or by our signals.
        case ended(TerminationStatus, byUs: Bool)
        case notStarted(any Error)
    }

    private let maximumLine: Int
    private let watcher: DescriptorWatcher
    /// Receives each line of standard error, with the task that the process works on at that time.
    private let onError: @Sendable (String, ErrorSource) -> Void
    private let state: Mutex<ChildState>
    private let life = Mutex<Task<Fate, Never>?>(nil)

    /// Starts a process; a failure to start is reported as ``Event/closed``.
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
        // This task keeps the child in memory until the process is over.
        let life = Task { await self.live(configuration, pipes, patience) }
        self.life.withLock { $0 = life }
    }

    /// Waits for the end of the process, and returns how it ended.
    func fate() async -> Fate? { await life.withLock { $0 }?.value }

    /// Makes the process end, or end sooner; wait for it with ``fate()``.
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

extension LineChild {
    /// Whether it can be handed a task: it has not ended, and all its output was read.
    var isUsable: Bool { state.withLock { $0.isUsable } }

    /// Notes tasks that the process is about to be handed, after those that it has not answered.
    func begin(_ tasks: [String]) {
        state.withLock { state in
            if state.tasks.isEmpty { state.isCancelled = false }
            state.tasks += tasks
        }
    }

    /// Notes an answer; returns how many there were, and how many tasks are still without one.
    func noteAnswer() -> (answers: Int, unanswered: Int) {
        state.withLock { state in
            state.answered = state.tasks.popFirst()
            state.answers += 1
            return (state.answers, state.unanswered)
        }
    }

    /// The id of the task that it answered last.
    var answered: String? { state.withLock { $0.answered } }

    /// Whether it lives and has written more than was read.
    var hasUnreadOutput: Bool { state.withLock { !$0.isClosed && !($0.lines.isEmpty && $0.partial.isEmpty) } }

    /// How many answers it has given.
    var answers: Int { state.withLock { $0.answers } }

    /// Whether it may have another task after it has answered all; false once it has answered as many as the limit.
    func isReusable(limit: Int?) -> Bool {
        state.withLock { state in
            if let limit, state.answers >= limit { return false }
            return state.isUsable && state.unsent.isEmpty
        }
    }

    /// Writes lines to its standard input, at once or when there is room.
    func send(_ lines: [UInt8]) {
        wake { state in
            state.unsent.append(contentsOf: lines)
            flush(&state)
        }
    }

    /// Waits for its next line, or for its end.
    func next() async -> Event {
        // A cancelled task gets no more lines, however many there are.
        if Task.isCancelled { return .cancelled }
        // If it was handed several tasks, more than one answer may be here already.
        let waiting = state.withLock { state in
            if state.lines.count < Self.fewLines { resumeReading(&state) }
            return state.nextEvent()
        }
        if let waiting { return waiting }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                wake { state in
                    state.waiter = continuation
                    if state.lines.count < Self.fewLines { resumeReading(&state) }
                }
            }
        } onCancel: {
            wake { $0.isCancelled = true }
        }
    }

    /// The end of its standard error.
    var errorTail: [UInt8] { state.withLock { $0.errorTail.bytes } }

    /// Changes the state, and wakes the waiting task if there is an event for it.
    private func wake(_ change: (inout ChildState) -> Void) {
        let woken = state.withLock { state in
            change(&state)
            return state.wake()
        }
        woken?.0.resume(returning: woken?.1 ?? .closed)
    }

    /// Writes as much as there is room for.
    private func flush(_ state: inout ChildState) {
        while let input = state.input, !state.unsent.isEmpty {
            let count = state.unsent.withUnsafeBytes {
                Glibc.send(input.descriptor.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                state.unsent.removeFirst(count)
            } else if errno == EAGAIN {
                if input.token == nil {
                    state.input?.token = watcher.add(input.descriptor, .writing) { [weak self] in
                        guard let self else { return }
                        wake { self.flush(&$0) }
                    }
                }
                return
            } else if errno != EINTR {
                // It reads no more; its earlier output is still delivered first.
                drainOutput(&state)
                state.isClosed = true
                break
            }
        }
        state.unsent = []
        if let input = state.input, let token = input.token {
            watcher.remove(token)
            state.input?.token = nil
        }
    }
}

extension LineChild {
    /// Reading pauses if more than `manyLines` lines are waiting, and resumes with fewer than `fewLines`.
    private static let (manyLines, fewLines) = (256, 32)
    private static let chunk = 64 << 10
    private static let longestError = 4 << 10

    /// Starts reading standard output and standard error.
    private func watchOutputs() {
        state.withLock { state in
            resumeReading(&state)
            guard let errors = state.errors else { return }
            state.errors?.token = watcher.add(errors.descriptor, .reading) { [weak self] in self?.readErrors() }
        }
    }

    /// Resumes reading if it was paused.
    private func resumeReading(_ state: inout ChildState) {
        guard let output = state.output, output.token == nil, !state.isLineTooLong else { return }
        let leisure: @Sendable () -> Duration = { [weak self] in self?.state.withLock { $0.leisure } ?? .zero }
        state.output?.token = watcher.add(output.descriptor, .reading, leisure: leisure) { [weak self] in
            guard let self else { return }
            wake { self.readOutput(&$0) }
        }
    }

    /// Watches for the end of the process, which may come while something it started keeps its output open.
    private func watchExit(of process: ProcessIdentifier) {
        guard process.processDescriptor >= 0 else { return }
        let descriptor = FileDescriptor(rawValue: process.processDescriptor)
        // Under the lock, so that the handler finds the token that it has to remove.
        state.withLock { state in
            let token = watcher.add(descriptor, .reading) { [weak self] in self?.noteExit() }
            state.exit = ChildState.Watched(descriptor: descriptor, token: token)
        }
    }

    private func noteExit() {
        forgetExit()
        wake { state in
            drainOutput(&state)
            state.isClosed = true
        }
        // If the child died while it waited for a task, nothing else may ever look at it.
        end(.retired)
    }

    /// Stops watching for the end; the descriptor is not ours to close.
    private func forgetExit() {
        state.withLock { state in
            if let exit = state.exit, let token = exit.token { watcher.remove(token) }
            state.exit = nil
        }
    }

    /// Reads everything that was written so far.
    private func drainOutput(_ state: inout ChildState) {
        while readOutput(&state) {}
    }

    /// Reads once; returns false if there was nothing.
    @discardableResult
    private func readOutput(_ state: inout ChildState) -> Bool {
        guard let output = state.output else { return false }
        let count = read(output.descriptor) { chunk in
            if !state.take(chunk, maximumLine: maximumLine) { state.isLineTooLong = true }
        }
        guard let count else { return false }
        state.readsMuch = count >= Self.chunk / 2
        if count == 0 {
            close(&state.output)
            state.isClosed = true
            return false
        }
        if state.isLineTooLong || state.lines.count > Self.manyLines {
            if let token = output.token { watcher.remove(token) }
            state.output?.token = nil
            return false
        }
        return true
    }

    private func readErrors() {
        let (lines, source) = state.withLock { state -> ([String], ErrorSource) in
            guard let errors = state.errors else { return ([], .nothing) }
            var lines: [String] = []
            let count = read(errors.descriptor) { lines = state.takeErrors($0, longest: Self.longestError) }
            if count == 0 { close(&state.errors) }
            return (lines, state.errorSource)
        }
        for line in lines { onError(line, source) }
    }

    /// Reads what is there; returns nil if there is nothing yet, and 0 at the end.
    private func read(_ descriptor: FileDescriptor, _ body: (UnsafeRawBufferPointer) -> Void) -> Int? {
        withUnsafeTemporaryAllocation(byteCount: Self.chunk, alignment: 16) { buffer in
            do {
                let count = try descriptor.read(into: buffer)
                if count > 0 { body(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
                return count
            } catch Errno.wouldBlock {
                return nil
            } catch {
                return 0
            }
        }
    }

    private func close(_ watched: inout ChildState.Watched?) {
        guard let place = watched else { return }
        if let token = place.token { watcher.remove(token) }
        try? place.descriptor.close()
        watched = nil
    }

    /// Closes the standard input of the process.
    private func closeInput(_ state: inout ChildState) {
        close(&state.input)
        state.unsent = []
    }

    /// Closes all descriptors after the end of the process.
    private func closeAll() {
        readErrors()
        wake { state in
            drainOutput(&state)
            close(&state.input)
            close(&state.output)
            close(&state.errors)
            state.isClosed = true
        }
    }
}

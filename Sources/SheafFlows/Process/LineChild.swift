import Glibc
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

extension LineChild {
    /// Whether it can work: it has not ended, and has said nothing that nobody asked for.
    var isUsable: Bool { state.withLock { $0.isUsable } }

    /// Begins to work on tasks, one after the other, behind those that it has not answered.
    func begin(_ tasks: [String]) {
        state.withLock { state in
            if state.tasks.isEmpty { state.isCancelled = false }
            state.tasks += tasks
        }
    }

    /// Notes that it has answered for a task; returns how often it has, and how many tasks are in its input still.
    func noteAnswer() -> (answers: Int, unanswered: Int) {
        state.withLock { state in
            state.answered = state.tasks.popFirst()
            state.answers += 1
            return (state.answers, state.unanswered)
        }
    }

    /// The last task that it has answered.
    var answered: String? { state.withLock { $0.answered } }

    /// Whether it lives, and has written something since that nobody has asked for.
    var saysTooMuch: Bool { state.withLock { !$0.isClosed && !($0.lines.isEmpty && $0.partial.isEmpty) } }

    /// How often it has answered.
    var answers: Int { state.withLock { $0.answers } }

    /// Whether it may have another task once it has answered for all; not with as many as it may have.
    func isReusable(limit: Int?) -> Bool {
        state.withLock { state in
            if let limit, state.answers >= limit { return false }
            return state.isUsable && state.unsent.isEmpty
        }
    }

    /// Writes lines to its standard input, now or when there is room.
    func send(_ lines: [UInt8]) {
        wake { state in
            state.unsent.append(contentsOf: lines)
            flush(&state)
        }
    }

    /// Waits for its next line, or for its end.
    func next() async -> Event {
        // However much it says, a cancelled task hears it no more.
        if Task.isCancelled { return .cancelled }
        // Where it was handed several tasks, more than one answer may have come.
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

    /// What standard error ended with.
    var lastWords: [UInt8] { state.withLock { $0.errorTail.bytes } }

    /// Changes the state, and wakes who waits where there is something for it.
    func wake(_ change: (inout ChildState) -> Void) {
        let woken = state.withLock { state in
            change(&state)
            return state.wake()
        }
        woken?.0.resume(returning: woken?.1 ?? .closed)
    }

    /// Writes what there is room for.
    func flush(_ state: inout ChildState) {
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
                // It reads no more; what it wrote before is heard first.
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
    /// With so many lines that nobody has taken, reading pauses; with so few it goes on.
    static let (manyLines, fewLines) = (256, 32)
    private static let chunk = 64 << 10
    private static let longestError = 4 << 10

    /// Begins to listen to standard output and standard error.
    func watchOutputs() {
        state.withLock { state in
            resumeReading(&state)
            guard let errors = state.errors else { return }
            state.errors?.token = watcher.add(errors.descriptor, .reading) { [weak self] in self?.readErrors() }
        }
    }

    /// Goes on reading where it had paused.
    func resumeReading(_ state: inout ChildState) {
        guard let output = state.output, output.token == nil, !state.isLineTooLong else { return }
        let leisure: @Sendable () -> Duration = { [weak self] in self?.state.withLock { $0.leisure } ?? .zero }
        state.output?.token = watcher.add(output.descriptor, .reading, leisure: leisure) { [weak self] in
            guard let self else { return }
            wake { self.readOutput(&$0) }
        }
    }

    /// Hears of the end of the process even where something it started keeps its output open.
    func watchExit(of process: ProcessIdentifier) {
        guard process.processDescriptor >= 0 else { return }
        let descriptor = FileDescriptor(rawValue: process.processDescriptor)
        // Under the lock, so that the handler finds it where it is to be forgotten.
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
        // Nobody may come for a child that died while it waited for a task.
        end(.retired)
    }

    /// Stops listening for the end; the descriptor is not ours.
    func forgetExit() {
        state.withLock { state in
            if let exit = state.exit, let token = exit.token { watcher.remove(token) }
            state.exit = nil
        }
    }

    /// Takes everything that was written so far.
    func drainOutput(_ state: inout ChildState) {
        while readOutput(&state) {}
    }

    /// Reads once; false where there was nothing.
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

    /// Reads what is there; nil where that is nothing yet, 0 where it is nothing any more.
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

    /// Lets the process see the end of its standard input.
    func closeInput(_ state: inout ChildState) {
        close(&state.input)
        state.unsent = []
    }

    /// Lets go of everything once the process is over.
    func closeAll() {
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

import Glibc
import Synchronization
import SystemPackage

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

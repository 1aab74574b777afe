import Glibc
import Synchronization
import SystemPackage

extension LineChild {
    /// Begins to work for a task; false where it cannot, because it has ended or has said what nobody asked for.
    func begin(_ task: String) -> Bool {
        state.withLock { state in
            guard !state.isClosed, !state.isLineTooLong, state.lines.isEmpty, state.partial.isEmpty else {
                return false
            }
            state.isCancelled = false
            state.task = task
            return true
        }
    }

    /// Ends the work for a task; false where it is of no use for another, or has had as many as it may.
    func finish(limit: Int?) -> Bool {
        state.withLock { state in
            state.task = nil
            state.tasks += 1
            if let limit, state.tasks >= limit { return false }
            return !state.isClosed && !state.isLineTooLong && state.lines.isEmpty && state.partial.isEmpty
                && state.unsent.isEmpty
        }
    }

    /// Writes a line to its standard input, now or when there is room.
    func send(_ line: [UInt8]) {
        wake { state in
            state.unsent.append(contentsOf: line)
            flush(&state)
        }
    }

    /// Waits for its next line, or for its end.
    func next() async -> Event {
        await withTaskCancellationHandler {
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

import Subprocess
import Synchronization
import SystemPackage

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

import Glibc
import Subprocess
import SystemPackage

/// The state of a process that lives for many tasks.
struct ChildState {
    /// A descriptor of ours, and the token under which it is watched.
    struct Watched {
        let descriptor: FileDescriptor
        var token: DescriptorWatcher.Token?
    }

    /// Our end of its standard input; nil when it is closed.
    var input: Watched?
    /// Our end of its standard output; nil when it is closed.
    var output: Watched?
    /// Our end of its standard error; nil when it is closed.
    var errors: Watched?
    /// The descriptor that reports its end.
    var exit: Watched?

    /// Data that standard input had no room for yet.
    var unsent: ArraySlice<UInt8> = []
    /// The beginning of a line whose end was not read yet.
    var partial: [UInt8] = []
    /// Lines that no task has taken yet, the next one last.
    var lines: [[UInt8]] = []
    /// Whether the last read returned much data.
    var readsMuch = false
    /// Whether a line was longer than allowed; no more is read then.
    var isLineTooLong = false
    /// Whether it has ended, or has closed its standard input or output.
    var isClosed = false
    /// The task that waits for an event.
    var waiter: CheckedContinuation<LineChild.Event, Never>?
    /// Whether the task was cancelled.
    var isCancelled = false

    /// How it is to be ended; nil if it is not.
    var wanted: LineChild.Ending?
    /// Waits until `wanted` is set.
    var ender: CheckedContinuation<Void, Never>?

    /// The ids of the tasks that it was handed and whose answers were not taken yet.
    var tasks: ArraySlice<String> = []
    /// How many tasks it has answered.
    var answers = 0
    /// The id of the task that it answered last.
    var answered: String?
    /// The beginning of a line of standard error whose end was not read yet.
    var partialError: [UInt8] = []
    /// The end of its standard error.
    var errorTail = TailBytes(limit: ProcessSupervisor.errorTail)

    init(_ pipes: ChildPipes) {
        input = Watched(descriptor: pipes.input)
        output = Watched(descriptor: pipes.output.readEnd)
        errors = Watched(descriptor: pipes.errors.readEnd)
    }

    /// How many of the tasks that it was handed have no answer yet that was read.
    var unanswered: Int { max(0, tasks.count - lines.count) }

    /// How long its answers can stay unread without it running out of tasks: hardly any program takes less than 8 µs
    /// for a task.
    ///
    /// Zero if its answers are so large that they fill the pipe, since the child would then wait for us.
    var leisure: Duration {
        unanswered > 16 && !readsMuch ? min(.milliseconds(2), .microseconds(8) * unanswered) : .zero
    }

    /// Whether it can be handed another task.
    var isUsable: Bool { !isClosed && !isLineTooLong && lines.isEmpty && partial.isEmpty }

    /// The tasks that it may be working on; it may be further than the answers that were read.
    var errorSource: LineChild.ErrorSource {
        guard let first = tasks.first, let last = tasks.last else { return .nothing }
        return tasks.count > 1 ? .tasks(first, last) : .task(first)
    }

    /// Takes the next event for the task that waits; nil if there is none.
    mutating func nextEvent() -> LineChild.Event? {
        if isCancelled { return .cancelled }
        if let line = lines.popLast() { return .line(line) }
        if isLineTooLong { return .lineTooLong }
        return isClosed ? .closed : nil
    }

    /// Takes the waiting task together with its event, if there is one.
    mutating func wake() -> (CheckedContinuation<LineChild.Event, Never>, LineChild.Event)? {
        guard let waiter, let event = nextEvent() else { return nil }
        self.waiter = nil
        return (waiter, event)
    }

    /// Splits what was read into lines; returns false if one is longer than allowed.
    mutating func take(_ chunk: UnsafeRawBufferPointer, maximumLine: Int) -> Bool {
        var rest = chunk[...]
        var found: [[UInt8]] = []
        // Lines before one that is too long are answers too.
        defer { if !found.isEmpty { lines.insert(contentsOf: found.reversed(), at: 0) } }
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let line = rest[..<end]
            rest = rest[(end + 1)...]
            guard partial.count + line.count <= maximumLine else { return false }
            if partial.isEmpty {
                found.append(Array(line))
            } else {
                found.append(partial + line)
                partial.removeAll()
            }
        }
        partial.append(contentsOf: rest)
        return partial.count <= maximumLine
    }

    /// Splits what was read from standard error into lines, and cuts long ones.
    mutating func takeErrors(_ chunk: UnsafeRawBufferPointer, longest: Int) -> [String] {
        errorTail.append(Array(chunk)[...])
        partialError.append(contentsOf: chunk)
        guard partialError.contains(UInt8(ascii: "\n")) || partialError.count > longest else { return [] }
        var lines = partialError.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let rest = lines.removeLast()
        if rest.count > longest {
            lines.append(rest)
            partialError = []
        } else {
            partialError = Array(rest)
        }
        return lines.filter { !$0.isEmpty }.map { String(decoding: $0.prefix(longest), as: UTF8.self) }
    }
}

/// The descriptors that connect us with a process that lives for many tasks.
struct ChildPipes {
    /// Our end of its standard input, which never blocks.
    let input: FileDescriptor
    /// The child's end of it; closed by the code that starts the child.
    let inputEnd: FileDescriptor
    /// Its standard output; the writing end is closed by the code that starts the child.
    let output: Pipe
    /// Its standard error; the writing end is closed by the code that starts the child.
    let errors: Pipe

    /// Opens all of them, or none.
    ///
    /// Standard input is a socket: writing to a socket whose reader is gone can be kept from raising SIGPIPE.
    init() throws(Errno) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw Errno(rawValue: errno) }
        input = FileDescriptor(rawValue: ends[0])
        inputEnd = FileDescriptor(rawValue: ends[1])
        input.setNonBlocking()
        var made = [input, inputEnd]
        do {
            output = try Pipe()
            made += [output.readEnd, output.writeEnd]
            errors = try Pipe()
        } catch {
            for descriptor in made { try? descriptor.close() }
            throw error
        }
    }
}

/// The group of a process and all it started, to be ended.
struct ProcessGroup: Sendable {
    /// How often to check whether the process has ended.
    private static let pollInterval = Duration.milliseconds(5)

    private let process: ProcessIdentifier

    /// Takes a process that leads its own group and was not waited for yet, so that its id belongs to no other process.
    init(_ process: ProcessIdentifier) { self.process = process }

    /// Waits for the process to end by itself, then sends SIGTERM, and finally SIGKILL to the whole group.
    ///
    /// - Parameters:
    ///   - patience: How long each step may take.
    ///   - isHurried: Whether the process gets no time to end by itself.
    /// - Returns: Whether the process ended by itself.
    func end(_ patience: ProcessLifecycle.Patience, isHurried: () -> Bool) async -> Bool {
        await wait(patience.output, unless: isHurried)
        let hasEnded = process.hasExited
        if !hasEnded {
            process.signalGroup(SIGTERM)
            await wait(patience.termination) { false }
        }
        process.signalGroup(SIGKILL)
        return hasEnded
    }

    private func wait(_ limit: Duration, unless isHurried: () -> Bool) async {
        let deadline = ContinuousClock.now + limit
        while !process.hasExited, !isHurried(), ContinuousClock.now < deadline {
            try? await Task.sleep(for: Self.pollInterval)
        }
    }
}

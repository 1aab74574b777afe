import Glibc
import Subprocess
import SystemPackage

/// What is known of a process that lives for many tasks.
struct ChildState {
    /// A descriptor of ours, and the name under which it is watched.
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
    /// What tells of its end.
    var exit: Watched?

    /// What standard input had no room for yet.
    var unsent: ArraySlice<UInt8> = []
    /// The beginning of a line that has no end yet.
    var partial: [UInt8] = []
    /// Lines that nobody has taken yet, the next one last.
    var lines: [[UInt8]] = []
    /// Whether much was there when it was last read.
    var readsMuch = false
    /// Whether a line was longer than allowed; nothing is read any more then.
    var isLineTooLong = false
    /// Whether nothing will be heard of it any more, or nothing it is told will be heard.
    var isClosed = false
    /// Who waits for an event.
    var waiter: CheckedContinuation<LineChild.Event, Never>?
    /// Whether the task was cancelled.
    var isCancelled = false

    /// How it is to end, if it is.
    var wanted: LineChild.Ending?
    /// Who waits for that.
    var ender: CheckedContinuation<Void, Never>?

    /// The ids of the tasks it was handed and has not answered, as far as that was heard.
    var tasks: ArraySlice<String> = []
    /// How many tasks it has answered.
    var answers = 0
    /// The last one that it has answered.
    var answered: String?
    /// The beginning of a line of standard error.
    var partialError: [UInt8] = []
    /// The end of what it wrote to standard error.
    var errorTail = TailBytes(limit: ProcessSupervisor.errorTail)

    init(_ pipes: ChildPipes) {
        input = Watched(descriptor: pipes.input)
        output = Watched(descriptor: pipes.output.readEnd)
        errors = Watched(descriptor: pipes.errors.readEnd)
    }

    /// How many of the tasks it was handed have no answer that was heard.
    var unanswered: Int { max(0, tasks.count - lines.count) }

    /// How long it surely goes on with those without any answer being heard: hardly any program takes less than 8 µs for a task.
    ///
    /// It waits itself, however, where its answers are so large that they fill the pipe.
    var leisure: Duration {
        unanswered > 16 && !readsMuch ? min(.milliseconds(2), .microseconds(8) * unanswered) : .zero
    }

    /// Whether it can have another task.
    var isUsable: Bool { !isClosed && !isLineTooLong && lines.isEmpty && partial.isEmpty }

    /// What it works on; of several tasks it may be further than its answers were heard.
    var errorSource: LineChild.ErrorSource {
        guard let first = tasks.first, let last = tasks.last else { return .nothing }
        return tasks.count > 1 ? .tasks(first, last) : .task(first)
    }

    /// What a task that waits is to hear, if there is anything.
    mutating func nextEvent() -> LineChild.Event? {
        if isCancelled { return .cancelled }
        if let line = lines.popLast() { return .line(line) }
        if isLineTooLong { return .lineTooLong }
        return isClosed ? .closed : nil
    }

    /// Takes the waiter, where there is something for it.
    mutating func wake() -> (CheckedContinuation<LineChild.Event, Never>, LineChild.Event)? {
        guard let waiter, let event = nextEvent() else { return nil }
        self.waiter = nil
        return (waiter, event)
    }

    /// Divides what was read into lines; false where one is longer than allowed.
    mutating func take(_ chunk: UnsafeRawBufferPointer, maximumLine: Int) -> Bool {
        var rest = chunk[...]
        var found: [[UInt8]] = []
        // Also those before one that is too long are of tasks.
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

    /// Divides what was read of standard error into lines, however long they are.
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

/// What connects us with a process that lives for many tasks.
struct ChildPipes {
    /// Our end of its standard input, which never blocks.
    let input: FileDescriptor
    /// Its end of it; closed by who starts it.
    let inputEnd: FileDescriptor
    /// Its standard output; the writing end is closed by who starts it.
    let output: Pipe
    /// Its standard error; the writing end is closed by who starts it.
    let errors: Pipe

    /// Makes them all, or none.
    ///
    /// Standard input is a socket, because writing to one whose reader is gone need not raise SIGPIPE.
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

/// A process and all it started, which is to come to its end.
struct ProcessGroup: Sendable {
    /// How often it looks whether the process has ended.
    private static let pollInterval = Duration.milliseconds(5)

    private let process: ProcessIdentifier

    /// Takes a process that leads its own group and was not waited for yet: its number is nobody else's until then.
    init(_ process: ProcessIdentifier) { self.process = process }

    /// Waits a while for the process to end by itself, then ends it with SIGTERM, and at last its whole group with SIGKILL.
    ///
    /// - Parameters:
    ///   - patience: How long each step may take.
    ///   - isHurried: Whether there is no time for it to end by itself.
    /// - Returns: Whether it has ended by itself.
    func end(_ patience: ProcessLifecycle.Patience, isHurried: () -> Bool) async -> Bool {
        await wait(patience.output, unless: isHurried)
        let hasEnded = hasExited
        if !hasEnded {
            signal(SIGTERM)
            await wait(patience.termination) { false }
        }
        signal(SIGKILL)
        return hasEnded
    }

    private func wait(_ limit: Duration, unless isHurried: () -> Bool) async {
        let deadline = ContinuousClock.now + limit
        while !hasExited, !isHurried(), ContinuousClock.now < deadline {
            try? await Task.sleep(for: Self.pollInterval)
        }
    }

    private func signal(_ number: Int32) {
        // A group of 0 would be our own, and -1 everybody.
        if process.value > 1 { _ = kill(-process.value, number) }
    }

    /// Whether the process has ended, without taking its status from who waits for it.
    private var hasExited: Bool {
        var information = siginfo_t()
        let result = waitid(P_PID, id_t(process.value), &information, WEXITED | WNOHANG | WNOWAIT)
        return result != 0 || information.si_signo != 0
    }
}

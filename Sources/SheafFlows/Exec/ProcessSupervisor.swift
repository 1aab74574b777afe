import Glibc
import Subprocess
import SystemPackage

/// Reads the output of a process, waits for its end, and ends its group if necessary; blocks its thread in the
/// meantime.
///
/// It calls `poll` instead of using dispatch sources: those end when a pipe is closed (swift-corelibs-libdispatch on
/// Linux), although there may still be data in the pipe.
struct ProcessSupervisor {
    /// How many bytes of the end of standard error are kept.
    static let errorTail = 2 << 10
    private static let chunk = 64 << 10
    /// How often to check for the end of a process on a kernel without process descriptors (before Linux 5.4).
    private static let pollInterval: Duration = .milliseconds(20)

    private let process: ProcessIdentifier
    private var lifecycle: ProcessLifecycle
    private var output: CappedBytes
    private var errors = TailBytes(limit: errorTail)
    private var buffer = [UInt8](repeating: 0, count: chunk)
    private var watched: [Place: FileDescriptor]
    private var alarm: (time: ContinuousClock.Instant, number: Int)?
    private var isFinished = false

    /// What a watched descriptor reports.
    private enum Place: CaseIterable {
        case output, errors, exit, cancellation
    }

    /// Prepares to supervise a process.
    ///
    /// - Parameters:
    ///   - process: The leader of its own process group.
    ///   - pipes: The pipes that it writes to, and the one that reports a cancel; none of them is closed here.
    ///   - lifecycle: Decides what happens when.
    ///   - maximumOutput: The most bytes of standard output.
    init(_ process: ProcessIdentifier, pipes: ProcessPipes, lifecycle: ProcessLifecycle, maximumOutput: Int) {
        self.process = process
        self.lifecycle = lifecycle
        self.output = CappedBytes(limit: maximumOutput)
        self.watched = [
            .output: pipes.output.readEnd, .errors: pipes.errors.readEnd, .cancellation: pipes.cancellation.readEnd,
        ]
        if process.processDescriptor >= 0 { watched[.exit] = FileDescriptor(rawValue: process.processDescriptor) }
    }

    /// Supervises the process until it and everything in its group is over.
    ///
    /// Until this returns, the process may be a zombie, but its id, which is its group's too, belongs to no other
    /// process: no signal can reach a foreign one.
    mutating func run() -> ProcessReport {
        let hasExitDescriptor = watched[.exit] != nil
        while !isFinished {
            for place in readyPlaces(isPolling: !hasExitDescriptor) where !isFinished { take(place) }
            if !hasExitDescriptor, !isFinished, process.hasExited { handle(.exited) }
            if let alarm, alarm.time <= .now, !isFinished {
                self.alarm = nil
                handle(.waited(number: alarm.number))
            }
        }
        return ProcessReport(output: output.bytes, errors: errors.bytes, stop: lifecycle.stop)
    }

    /// Waits until descriptors are ready or the time of the alarm has come.
    private func readyPlaces(isPolling: Bool) -> [Place] {
        let places = Place.allCases.filter { watched[$0] != nil }
        var entries = places.map { pollfd(fd: watched[$0]?.rawValue ?? -1, events: Int16(POLLIN), revents: 0) }
        var limit = alarm.map { max(.zero, ContinuousClock.now.duration(to: $0.time)) }
        if isPolling { limit = min(limit ?? Self.pollInterval, Self.pollInterval) }
        // Rounded up, so that it does not spin through the last millisecond.
        let milliseconds = limit.map { Int32(clamping: Int64(($0 / .milliseconds(1)).rounded(.up))) } ?? -1
        guard poll(&entries, nfds_t(entries.count), milliseconds) > 0 else { return [] }
        return zip(places, entries).filter { $0.1.revents != 0 }.map(\.0)
    }

    private mutating func take(_ place: Place) {
        switch place {
        case .exit, .cancellation:
            watched[place] = nil
            handle(place == .exit ? .exited : .cancelled)
        case .output:
            if let chunk = read(place), !output.append(chunk) { handle(.outputTooLarge) }
        case .errors:
            if let chunk = read(place) { errors.append(chunk) }
        }
    }

    /// Reads once; returns nil if there is nothing yet, and at the end.
    private mutating func read(_ place: Place) -> ArraySlice<UInt8>? {
        guard let pipe = watched[place] else { return nil }
        let count: Int
        do {
            count = try buffer.withUnsafeMutableBytes { try pipe.read(into: $0) }
        } catch Errno.wouldBlock {
            return nil
        } catch {
            count = 0
        }
        if count > 0 { return buffer[..<count] }
        watched[place] = nil
        if watched[.output] == nil, watched[.errors] == nil { handle(.outputClosed) }
        return nil
    }

    private mutating func handle(_ event: ProcessLifecycle.Event) {
        for action in lifecycle.handle(event) {
            switch action {
            case .terminateGroup: process.signalGroup(SIGTERM)
            case .killGroup: process.signalGroup(SIGKILL)
            case .wait(let duration, let number): alarm = (.now + duration, number)
            case .finish: isFinished = true
            }
        }
    }

}

extension ProcessIdentifier {
    /// Sends a signal to the group that the process leads.
    func signalGroup(_ number: Int32) {
        // A group of 0 would be our own, and -1 all processes.
        if value > 1 { _ = kill(-value, number) }
    }

    /// Whether the process has ended; its status is left for the code that waits for it.
    var hasExited: Bool {
        var information = siginfo_t()
        let result = waitid(P_PID, id_t(value), &information, WEXITED | WNOHANG | WNOWAIT)
        return result != 0 || information.si_signo != 0
    }
}

/// The first bytes of an output, up to a limit.
struct CappedBytes: Sendable {
    private(set) var bytes: [UInt8] = []
    private let limit: Int

    init(limit: Int) {
        self.limit = limit
    }

    /// Keeps as much as fits; returns false if there was more.
    mutating func append(_ chunk: ArraySlice<UInt8>) -> Bool {
        let room = limit - bytes.count
        bytes.append(contentsOf: chunk.prefix(room))
        return chunk.count <= room
    }
}

/// The last bytes of an output, however long it is.
struct TailBytes: Sendable {
    private var kept: [UInt8] = []
    private let limit: Int
    private(set) var isCut = false

    init(limit: Int) {
        self.limit = limit
    }

    /// The last bytes, at most as many as the limit.
    var bytes: [UInt8] { Array(kept.suffix(limit)) }

    mutating func append(_ chunk: ArraySlice<UInt8>) {
        kept.append(contentsOf: chunk.suffix(limit))
        if kept.count > limit || chunk.count > limit { isCut = true }
        // Cutting only from time to time keeps a flood of short lines cheap.
        if kept.count > 4 * limit { kept.removeFirst(kept.count - limit) }
    }
}

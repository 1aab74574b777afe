import Foundation
import Glibc
import Synchronization
import SystemPackage

/// Reports descriptors that can be read or written, on one thread for all children of all flows.
///
/// It calls `poll` instead of using dispatch sources: those end when a pipe is closed (swift-corelibs-libdispatch on
/// Linux), although there may still be data in the pipe.
final class DescriptorWatcher: Sendable {
    /// The event that is waited for.
    enum Interest: Sendable {
        case reading, writing

        fileprivate var events: Int16 { Int16(self == .reading ? POLLIN : POLLOUT) }
    }

    /// Identifies a watched descriptor; never used twice, so that a late event cannot reach another one.
    typealias Token = UInt64

    private struct Entry {
        let descriptor: FileDescriptor
        let interest: Interest
        let leisure: @Sendable () -> Duration
        let handler: @Sendable () -> Void
    }

    private struct State {
        var next: Token = 1
        var entries: [Token: Entry] = [:]
        var isChanged = true
    }

    /// The watcher of this process; nil if the system has no pipe for it.
    static let shared = DescriptorWatcher()

    private static let stackSize = 512 << 10
    private let state = Mutex(State())
    /// Interrupts `poll` when the set of descriptors changes.
    private let bell: Pipe

    private init?() {
        guard let bell = try? Pipe() else { return nil }
        bell.writeEnd.setNonBlocking()
        self.bell = bell
        // The thread lives as long as the process.
        let thread = Thread { [self] in run() }
        thread.name = "sheaf-children"
        thread.stackSize = Self.stackSize
        thread.start()
    }

    /// Calls `handler` on the watcher's thread as long as there is data to read or room to write.
    ///
    /// - Parameters:
    ///   - descriptor: The descriptor to watch.
    ///   - interest: The event to wait for.
    ///   - leisure: Returns by how much the handler may be called later. Data that is written in many small parts is
    ///     then read in few turns of the threads instead of one turn each.
    ///   - handler: Must return soon, and may be called once more after ``remove(_:)``.
    func add(
        _ descriptor: FileDescriptor,
        _ interest: Interest,
        leisure: @escaping @Sendable () -> Duration = { .zero },
        _ handler: @escaping @Sendable () -> Void
    ) -> Token {
        let token = state.withLock { state in
            let token = state.next
            state.next += 1
            state.entries[token] = Entry(
                descriptor: descriptor,
                interest: interest,
                leisure: leisure,
                handler: handler
            )
            state.isChanged = true
            return token
        }
        _ = try? bell.writeEnd.writeAll(CollectionOfOne(1))
        return token
    }

    /// Stops watching; call it before the descriptor is closed.
    func remove(_ token: Token) {
        state.withLock { state in
            state.entries[token] = nil
            state.isChanged = true
        }
        _ = try? bell.writeEnd.writeAll(CollectionOfOne(1))
    }

    private func run() {
        var polled: [pollfd] = []
        var tokens: [Token] = []
        while true {
            state.withLock { state in
                guard state.isChanged else { return }
                state.isChanged = false
                tokens = Array(state.entries.keys)
                polled = [pollfd(fd: bell.readEnd.rawValue, events: Int16(POLLIN), revents: 0)]
                polled += state.entries.values.map {
                    pollfd(fd: $0.descriptor.rawValue, events: $0.interest.events, revents: 0)
                }
            }
            guard poll(&polled, nfds_t(polled.count), -1) > 0 else { continue }
            if polled[0].revents != 0 { silence() }
            var ready = tokens.indices.filter { polled[$0 + 1].revents != 0 }
            let leisure = ready.map { entry(tokens[$0])?.leisure() ?? .zero }.min() ?? .zero
            if leisure > .zero { ready += others(than: ready, polled, within: leisure) }
            for place in ready { entry(tokens[place])?.handler() }
        }
    }

    /// Waits for that time, or until other descriptors can be read or written, and returns those.
    private func others(than ready: [Int], _ polled: [pollfd], within leisure: Duration) -> [Int] {
        var rest = polled
        rest[0].revents = 0
        for place in ready { rest[place + 1].fd = -1 }
        // `poll` counts in milliseconds; for less than one, the other descriptors can wait too.
        let milliseconds = Int32(leisure / .milliseconds(1))
        if milliseconds == 0 { usleep(UInt32(leisure / .microseconds(1))) }
        guard poll(&rest, nfds_t(rest.count), milliseconds) > 0 else { return [] }
        if rest[0].revents != 0 { silence() }
        return rest.indices.dropFirst().filter { rest[$0].fd >= 0 && rest[$0].revents != 0 }.map { $0 - 1 }
    }

    private func entry(_ token: Token) -> Entry? { state.withLock { $0.entries[token] } }

    private func silence() {
        withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { _ = try? bell.readEnd.read(into: $0) }
    }
}

import Foundation
import Glibc
import Synchronization
import SystemPackage

/// Tells of descriptors that can be read or written, on one thread for all children of all flows.
///
/// It asks the kernel itself instead of a dispatch source: those take the closing of a pipe for the end of the source
/// (swift-corelibs-libdispatch on Linux), while there may still be something in the pipe.
final class DescriptorWatcher: Sendable {
    /// What is waited for.
    enum Interest: Sendable {
        case reading, writing

        fileprivate var events: Int16 { Int16(self == .reading ? POLLIN : POLLOUT) }
    }

    /// Names a descriptor that is watched; never used twice, so that a late event reaches nobody else.
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

    /// The one for all; nil where the system gives none.
    static let shared = DescriptorWatcher()

    private static let stackSize = 512 << 10
    private let state = Mutex(State())
    /// Ends a waiting when there is something else to wait for.
    private let bell: Pipe

    private init?() {
        guard let bell = try? Pipe() else { return nil }
        bell.writeEnd.setNonBlocking()
        self.bell = bell
        // It lives as long as the process.
        let thread = Thread { [self] in follow() }
        thread.name = "sheaf-children"
        thread.stackSize = Self.stackSize
        thread.start()
    }

    /// Calls `handler` on the watcher's thread as long as there is something to read or room to write.
    ///
    /// A handler must return soon, and may be called once more after ``remove(_:)``. It is called later by as much as `leisure`
    /// says: what is written in many small parts then costs few turns of the threads instead of one each.
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

    /// Ends the watching; call it before the descriptor is closed.
    func remove(_ token: Token) {
        state.withLock { state in
            state.entries[token] = nil
            state.isChanged = true
        }
        _ = try? bell.writeEnd.writeAll(CollectionOfOne(1))
    }

    private func follow() {
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

    /// Waits that long, or until one of the others can be read or written; returns which.
    private func others(than ready: [Int], _ polled: [pollfd], within leisure: Duration) -> [Int] {
        var rest = polled
        rest[0].revents = 0
        for place in ready { rest[place + 1].fd = -1 }
        // The system waits for whole milliseconds where it is to hear of the others; for less than one they can wait too.
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

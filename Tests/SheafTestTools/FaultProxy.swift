import Dispatch
import Foundation
import Synchronization

/// A TCP proxy on loopback between a client and a broker, which injects faults into live connections.
///
/// It has its own thread, which ends with the body of ``with(inFrontOf:_:)``.
package final class FaultProxy: Sendable {
    /// The state shared by the thread and its callers.
    final class Counters: Sendable {
        private struct State {
            var commands: [(FaultLoop.Command, DispatchSemaphore)] = []
            var accepted = 0
            var open = 0
        }

        private let state = Mutex(State())

        var accepted: Int { state.withLock { $0.accepted } }
        var open: Int { state.withLock { $0.open } }

        func post(_ command: FaultLoop.Command) -> DispatchSemaphore {
            let done = DispatchSemaphore(value: 0)
            state.withLock { $0.commands.append((command, done)) }
            return done
        }

        func takeCommands() -> [(FaultLoop.Command, DispatchSemaphore)] {
            state.withLock { state in
                defer { state.commands = [] }
                return state.commands
            }
        }

        func noteAccepted() { state.withLock { $0.accepted += 1 } }

        func note(open: Int) { state.withLock { $0.open = open } }
    }

    /// The port of the proxy.
    package let port: Int
    private let counters = Counters()
    private let wake: FileHandle

    private init(brokerPort: Int) throws {
        let (listener, port) = try FaultSocket.listenAnywhere()
        let pipe = Pipe()
        self.port = port
        self.wake = pipe.fileHandleForWriting
        let counters = counters
        let reading = pipe.fileHandleForReading
        Thread.detachNewThread {
            var loop = FaultLoop(
                counters,
                wake: reading.fileDescriptor,
                listener: listener,
                port: port,
                brokerPort: brokerPort
            )
            loop.run()
            try? reading.close()
        }
    }

    /// Runs the body with a proxy in front of a broker, and stops it afterwards.
    ///
    /// - Parameters:
    ///   - url: The URL of the broker, whose host must be loopback.
    ///   - body: Receives the proxy and the URL that leads through it.
    package static func with<Value>(
        inFrontOf url: String,
        _ body: (FaultProxy, String) async throws -> Value
    ) async throws -> Value {
        guard var parts = URLComponents(string: url), let port = parts.port else {
            throw FaultSocket.Failure("no port in the broker's address")
        }
        let proxy = try FaultProxy(brokerPort: port)
        defer { proxy.tell(.stop) }
        parts.port = proxy.port
        return try await body(proxy, parts.string ?? url)
    }

    /// The number of connections accepted so far.
    package var acceptedConnections: Int { counters.accepted }

    /// The number of open connections.
    package var openConnections: Int { counters.open }

    /// Changes the fault, also for existing connections, and returns once it is in effect.
    package func set(_ mode: FaultMode) { tell(.set(mode)) }

    /// Resets every existing connection; new ones are treated as before.
    package func resetConnections() { tell(.resetConnections) }

    private func tell(_ command: FaultLoop.Command) {
        let done = counters.post(command)
        try? wake.write(contentsOf: [0])
        done.wait()
    }
}

/// The fault that a ``FaultProxy`` injects into its connections.
package enum FaultMode: Sendable, Hashable {
    /// A direction through the proxy, or both.
    package enum Direction: Sendable, Hashable {
        /// From the client to the broker.
        case toBroker
        /// From the broker to the client.
        case fromBroker
        /// Both directions.
        case both
    }

    /// Forwards everything immediately.
    case pass
    /// Resets every connection, and each new one as soon as it is accepted.
    case reset
    /// Resets every connection and closes the port.
    case refuse
    /// Accepts bytes and the ends of connections and forwards none of them, like a network that drops packets.
    case swallow(Direction)
    /// Forwards everything after this delay, in each direction.
    case delay(Duration)
    /// Closes each connection after this number of bytes since the mode was set or the connection was opened.
    case cut(after: Int, Direction)
    /// Forwards one byte at a time, with this pause after each.
    case trickle(Duration)
    /// Reads and forwards nothing; what was sent in the meantime is forwarded afterwards.
    case halt

    /// Whether bytes in this direction are dropped.
    func swallows(_ direction: Direction) -> Bool {
        guard case .swallow(let swallowed) = self else { return false }
        return swallowed == .both || swallowed == direction
    }

    /// The delay before bytes are forwarded.
    var latency: Duration { if case .delay(let latency) = self { latency } else { .zero } }

    /// The number of bytes that may pass in this direction, or nil if there is no limit.
    func limit(_ direction: Direction) -> Int? {
        guard case .cut(let count, let cutDirection) = self, cutDirection == .both || cutDirection == direction else {
            return nil
        }
        return count
    }
}

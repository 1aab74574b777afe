import Dispatch
import Foundation
import Synchronization

/// A TCP proxy on loopback between a client and a broker, which can fail in many ways while connections live.
///
/// It has one thread of its own, which ends with the body of ``with(inFrontOf:_:)``.
public final class FaultProxy: Sendable {
    /// What the thread and those who ask share.
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
    public let port: Int
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
    ///   - url: The broker's address, whose host must be loopback.
    ///   - body: Is given the proxy, and the address that leads through it.
    public static func with<Value>(
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

    /// How many connections have been taken.
    public var acceptedConnections: Int { counters.accepted }

    /// How many connections there are.
    public var openConnections: Int { counters.open }

    /// Changes what is done to the connections, those that live included; returns when that is so.
    public func set(_ mode: FaultMode) { tell(.set(mode)) }

    /// Resets every connection that there is; new ones are treated as before.
    public func resetConnections() { tell(.resetConnections) }

    private func tell(_ command: FaultLoop.Command) {
        let done = counters.post(command)
        try? wake.write(contentsOf: [0])
        done.wait()
    }
}

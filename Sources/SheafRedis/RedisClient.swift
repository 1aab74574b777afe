import Dispatch
import Glibc
import SheafBatches
import SheafDispatch
import Synchronization

/// Sends commands to Redis from a queue of its own, and connects again after an error.
final class RedisClient: Sendable {
    let url: RedisURL
    private let queue = DispatchQueue(label: "sheaf.redis")
    private let link = Mutex<RedisLink?>(nil)
    private let wait = Mutex(Wait())

    private struct Wait {
        var descriptor: Int32 = -1
        var isClosed = false
    }

    /// The time limit of connecting and of each exchange.
    private static let limit = Duration.seconds(10)
    /// How long a command is tried again before its error is thrown.
    static let patience = Duration.seconds(10)

    init(url: RedisURL) { self.url = url }

    /// Ends the connection, also if a command waits for its reply; later commands fail.
    func close() {
        wait.withLock { wait in
            wait.isClosed = true
            if wait.descriptor >= 0 { shutdown(wait.descriptor, Int32(SHUT_RDWR)) }
        }
        queue.async { [self] in drop() }
    }

    /// Sends commands at once, and returns their replies.
    ///
    /// After a lost connection all of them are sent again, so they must have the same effect if they are repeated.
    /// - Throws: ``RequestQueueError`` with `unreachable` after the time limit, or `refused` if the server refuses one.
    func send(_ commands: [RedisCommand], for patience: Duration = patience) async throws -> [RedisValue] {
        let deadline = ContinuousClock.now + patience
        var backoff = Backoff(first: .milliseconds(50), ceiling: .seconds(2))
        while true {
            do {
                let replies = try await exchange(commands)
                for case .error(let text) in replies { throw Self.error(text, url) }
                return replies
            } catch let error as RequestQueueError where error.code == .unreachable {
                if ContinuousClock.now > deadline || wait.withLock({ $0.isClosed }) { throw error }
                try await backoff.pause()
            }
        }
    }

    func send(_ parts: String..., for patience: Duration = patience) async throws -> RedisValue {
        try await send([RedisCommand(parts.map { Array($0.utf8) })], for: patience)[0]
    }

    /// Runs scripts, in order; each has the same effect if it is repeated.
    func run(
        _ script: RedisScript,
        _ calls: [(keys: [String], arguments: [[UInt8]])],
        for patience: Duration = patience
    ) async throws -> [RedisValue] {
        func commands(_ name: String, _ body: [UInt8]) -> [RedisCommand] {
            calls.map { call in
                let keys = [String(call.keys.count)] + call.keys
                return RedisCommand([Array(name.utf8), body] + keys.map { Array($0.utf8) } + call.arguments)
            }
        }
        do {
            return try await send(commands("EVALSHA", Array(script.digest.utf8)), for: patience)
        } catch let error as RequestQueueError where error.message.contains("NOSCRIPT") {
            return try await send(commands("EVAL", Array(script.text.utf8)), for: patience)
        }
    }

    /// Sends commands once.
    private func exchange(_ commands: [RedisCommand]) async throws -> [RedisValue] {
        try await withCheckedContinuation { (done: CheckedContinuation<Result<[RedisValue], any Error>, Never>) in
            queue.async { [self] in
                done.resume(returning: Result { try link.withLock { link in try perform(commands, &link) } })
            }
        }.get()
    }

    private func perform(_ commands: [RedisCommand], _ link: inout RedisLink?) throws -> [RedisValue] {
        do {
            if link == nil {
                if wait.withLock({ $0.isClosed }) { throw closed }
                var opened = RedisLink()
                try opened.open(url, within: Self.limit)
                let descriptor = opened.descriptor
                link = consume opened
                let isClosed = wait.withLock { wait in
                    wait.descriptor = descriptor
                    return wait.isClosed
                }
                if isClosed { throw closed }
            }
            return try link?.exchange(commands, url, within: Self.limit) ?? []
        } catch {
            wait.withLock { $0.descriptor = -1 }
            link = nil
            throw error
        }
    }

    private func drop() {
        wait.withLock { $0.descriptor = -1 }
        link.withLock { $0 = nil }
    }

    private var closed: RequestQueueError { RequestQueueError(.unreachable, "the connection to \(url) is closed") }

    // MARK: Errors

    /// Whether a server that answers so will answer otherwise a little later.
    static func isTransient(_ text: String) -> Bool {
        ["LOADING", "BUSY ", "TRYAGAIN", "MASTERDOWN", "CLUSTERDOWN", "READONLY"].contains { text.hasPrefix($0) }
    }

    private static func error(_ text: String, _ url: RedisURL) -> RequestQueueError {
        if isTransient(text) { return RequestQueueError(.unreachable, "Redis at \(url): \(text)") }
        return RequestQueueError(.refused, "Redis at \(url) refuses a command: \(text)")
    }
}

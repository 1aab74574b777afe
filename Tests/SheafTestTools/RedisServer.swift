package import Foundation
import Glibc
import Synchronization

/// A `redis-server` for tests, on loopback, with a folder and an append-only file of its own.
package final class RedisServer: Sendable {
    package let port: Int
    package let folder: String
    private let arguments: [String]
    private let process = Mutex<Process?>(nil)

    /// Runs the body with a server, and ends it afterwards.
    package static func with<Value>(
        _ arguments: [String] = [],
        _ body: (RedisServer) async throws -> Value
    ) async throws -> Value {
        let server = try RedisServer(arguments)
        defer { server.remove() }
        try await server.start()
        return try await body(server)
    }

    private init(_ arguments: [String]) throws {
        self.arguments = arguments
        port = try Self.freePort()
        folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-redis-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    /// The URL of its first database.
    package var address: String { "redis://127.0.0.1:\(port)/0" }

    /// Starts the server, and returns once it answers.
    package func start() async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/redis-server")
        process.arguments =
            [
                "--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--save", "",
                "--daemonize", "no", "--loglevel", "warning", "--logfile", "\(folder)/log",
            ] + arguments
        process.standardInput = FileHandle.nullDevice
        try process.run()
        self.process.withLock { $0 = process }
        let deadline = ContinuousClock.now + .seconds(20)
        while try await !answers() {
            guard process.isRunning, ContinuousClock.now < deadline else {
                let log = (try? String(contentsOfFile: "\(folder)/log", encoding: .utf8)) ?? ""
                throw TestToolError("redis-server does not answer: \(log)")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func answers() async throws -> Bool {
        let reply = try await cli("ping")
        return reply.hasPrefix("PONG") || reply.contains("NOAUTH")
    }

    /// Kills the server as a crash does; its data remains.
    package func kill() {
        process.withLock { process in
            if let process, process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
            process?.waitUntilExit()
            process = nil
        }
    }

    private func remove() {
        kill()
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Runs `redis-cli` and returns its output.
    @discardableResult
    package func cli(_ arguments: String...) async throws -> String { try await cli(arguments) }

    /// Runs `redis-cli` with a list of arguments.
    @discardableResult
    package func cli(_ arguments: [String], input: Data? = nil) async throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/redis-cli")
        process.arguments = ["-p", String(port)] + arguments
        let (inputPipe, output) = (Pipe(), Pipe())
        process.standardInput = inputPipe
        process.standardOutput = output
        process.standardError = output
        return try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                do {
                    try process.run()
                    if let input { inputPipe.fileHandleForWriting.write(input) }
                    try? inputPipe.fileHandleForWriting.close()
                    let data = output.fileHandleForReading.readDataToEndOfFile()
                    process.waitUntilExit()
                    continuation.resume(returning: String(decoding: data, as: UTF8.self))
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    /// Sends bodies at once as another program does: to a list, or as the field `data` of entries of a stream.
    package func send(_ bodies: [String], asList: Bool, to key: String) async throws {
        var protocolText = ""
        for body in bodies {
            let parts = asList ? ["RPUSH", key, body] : ["XADD", key, "*", "data", body]
            protocolText += "*\(parts.count)\r\n" + parts.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        }
        let reply = try await cli(["--pipe"], input: Data(protocolText.utf8))
        if !reply.contains("errors: 0, replies: \(bodies.count)") { throw TestToolError("redis-cli --pipe: \(reply)") }
    }

    /// Returns a port that nothing listens on.
    package static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, size) == 0 ? getsockname(descriptor, pointer, &size) : -1
            }
        }
        guard status == 0 else { throw TestToolError("there is no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}

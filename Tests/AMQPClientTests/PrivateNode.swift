import AMQPClient
import Foundation

/// A broker of its own for tests that disturb everybody on it; it ends with this process.
struct PrivateNode: Sendable {
    private let url: String
    private let folder: String

    static func start() async throws -> PrivateNode {
        let owner = String(ProcessInfo.processInfo.processIdentifier)
        let output = try await Self.script(["start", "--for", owner])
        let pairs = output.split(separator: "\n").map { $0.split(separator: "=", maxSplits: 1).map(String.init) }
        let variables = Dictionary(pairs.filter { $0.count == 2 }.map { ($0[0], $0[1]) }) { $1 }
        guard let url = variables["SHEAF_TEST_AMQP_URL"], let folder = variables["SHEAF_TEST_RABBITMQ_FOLDER"] else {
            throw TestBroker.Missing(description: "rabbitmq-node printed no variables: \(output)")
        }
        return PrivateNode(url: url, folder: folder)
    }

    func configuration() throws -> AMQPConfiguration {
        try AMQPConfiguration(url: self.url, connectionName: "AMQPClientTests")
    }

    /// Runs the broker's command line tool.
    func control(_ arguments: String...) async throws {
        _ = try await Self.script(["ctl", self.folder] + arguments)
    }

    private static func script(_ arguments: [String]) async throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("rabbitmq-node")
        process.arguments = arguments
        let output = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        let status = try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        guard status == 0 else { throw TestBroker.Missing(description: "rabbitmq-node \(arguments) failed") }
        return String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }
}

import Foundation

/// A RabbitMQ node for tests, on loopback, driven through `Tests/rabbitmq-node`.
public struct RabbitMQNode: Sendable {
    /// Where it is, with user and password, such as `amqp://guest:guest@127.0.0.1:20123`.
    public let url: String
    /// Its Erlang name.
    public let nodeName: String
    /// The folder of its configuration, data and log.
    public let folder: String
    /// Where it speaks TLS, if it was started so.
    public let tls: TLS?

    /// The node that tests share: the one that the environment names, or else one started for this process.
    ///
    /// Whoever uses it may not disturb others: names of one's own, no alarms, no restart.
    public static var shared: RabbitMQNode {
        get async throws { try await sharedStart.value }
    }

    private static let sharedStart = Task { () async throws -> RabbitMQNode in
        let environment = ProcessInfo.processInfo.environment
        if let node = RabbitMQNode(variables: environment) { return node }
        return try await start()
    }

    /// Starts a private node; it ends with ``stop()``, or when this process does.
    ///
    /// - Parameters:
    ///   - withTLS: Whether it speaks TLS, too.
    ///   - settings: What its application `rabbit` reads at its start, such as `consumer_timeout=3000`.
    public static func start(withTLS: Bool = false, settings: [String] = []) async throws -> RabbitMQNode {
        let owner = ["--for", String(ProcessInfo.processInfo.processIdentifier)]
        let changes = settings.flatMap { ["--with", $0] }
        let output = try await script(["start"] + (withTLS ? ["--tls"] : []) + changes + owner)
        let pairs = output.split(separator: "\n").compactMap { line -> (String, String)? in
            let parts = line.split(separator: "=", maxSplits: 1)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }
        guard let node = RabbitMQNode(variables: Dictionary(pairs) { $1 }) else {
            throw RabbitMQNodeError("rabbitmq-node printed no variables: \(output)")
        }
        return node
    }

    /// Runs the body with a private node that may be disturbed at will, and removes it afterwards.
    public static func with<Value>(
        settings: [String] = [],
        _ body: (RabbitMQNode) async throws -> Value
    ) async throws -> Value {
        let node = try await start(settings: settings)
        do {
            let value = try await body(node)
            try await node.stop()
            return value
        } catch {
            try? await node.stop()
            throw error
        }
    }

    private init?(variables: [String: String]) {
        guard let url = variables["SHEAF_TEST_AMQP_URL"], let nodeName = variables["SHEAF_TEST_RABBITMQ_NODENAME"],
            let folder = variables["SHEAF_TEST_RABBITMQ_FOLDER"]
        else { return nil }
        self.url = url
        self.nodeName = nodeName
        self.folder = folder
        self.tls = TLS(variables: variables, folder: folder)
    }

    /// The address without credentials, as `host:port`.
    public var endpoint: String { String(url.drop { $0 != "@" }.dropFirst()) }

    /// Stops the node and removes its folder.
    public func stop() async throws {
        _ = try await Self.script(["stop", folder])
    }

    /// Kills the node as a crash would; its data stay.
    public func kill() async throws {
        _ = try await Self.script(["kill", folder])
    }

    /// Shuts the node down in good order; its data stay.
    public func shutDown() async throws {
        _ = try await Self.script(["shutdown", folder])
    }

    /// Stops the node's process where it is, as a machine does that hangs; ``thaw()`` lets it go on.
    public func freeze() async throws {
        _ = try await Self.script(["freeze", folder])
    }

    /// Lets a frozen node go on.
    public func thaw() async throws {
        _ = try await Self.script(["thaw", folder])
    }

    /// Starts a node again that was killed or shut down, with its data and its address.
    public func restart() async throws {
        _ = try await Self.script(["restart", folder])
    }

    /// Runs `rabbitmqctl` for this node and returns what it prints.
    @discardableResult
    public func rabbitmqctl(_ arguments: String...) async throws -> String {
        try await rabbitmqctl(arguments)
    }

    /// Runs `rabbitmqctl` for this node with a list of arguments.
    @discardableResult
    public func rabbitmqctl(_ arguments: [String]) async throws -> String {
        try await Self.script(["ctl", folder] + arguments)
    }

    /// Runs the script and returns its output; throws with what it complains of when it fails.
    private static func script(_ arguments: [String]) async throws -> String {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let process = Process()
        process.executableURL = root.appendingPathComponent("Tests/rabbitmq-node")
        process.arguments = arguments
        let (output, errors) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        return try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { process in
                let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                guard process.terminationStatus != 0 else { return continuation.resume(returning: text) }
                let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                let what = arguments.joined(separator: " ")
                continuation.resume(throwing: RabbitMQNodeError("rabbitmq-node \(what): \(complaint)"))
            }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
    }
}

/// Why there is no RabbitMQ node for the tests.
public struct RabbitMQNodeError: Error, Sendable, CustomStringConvertible {
    /// What went wrong.
    public let description: String

    init(_ description: String) { self.description = description }
}

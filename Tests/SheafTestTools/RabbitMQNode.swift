import Foundation

/// A RabbitMQ node for tests, on loopback, driven through `Tests/rabbitmq-node`.
package struct RabbitMQNode: Sendable {
    /// The URL with user and password, such as `amqp://guest:guest@127.0.0.1:20123`.
    package let url: String
    /// The Erlang node name.
    package let nodeName: String
    /// The folder that contains its configuration, data and log.
    package let folder: String
    /// The TLS ports and certificates, or nil if the node was started without TLS.
    package let tls: TLS?

    /// The node that tests share: the one named by the environment, or one started for this process.
    ///
    /// Tests that use it must not affect others: they use unique names, set no alarms and never restart it.
    package static var shared: RabbitMQNode {
        get async throws { try await sharedStart.value }
    }

    private static let sharedStart = Task { () async throws -> RabbitMQNode in
        let environment = ProcessInfo.processInfo.environment
        if let node = RabbitMQNode(variables: environment) { return node }
        return try await start()
    }

    /// Starts a private node, which ends with ``stop()`` or with this process.
    ///
    /// - Parameters:
    ///   - withTLS: Whether it also listens for TLS.
    ///   - settings: Settings of the Erlang application `rabbit`, such as `consumer_timeout=3000`.
    package static func start(withTLS: Bool = false, settings: [String] = []) async throws -> RabbitMQNode {
        let owner = ["--for", String(ProcessInfo.processInfo.processIdentifier)]
        let changes = settings.flatMap { ["--with", $0] }
        let output = try await script(["start"] + (withTLS ? ["--tls"] : []) + changes + owner)
        let pairs = output.split(separator: "\n").compactMap { line -> (String, String)? in
            let parts = line.split(separator: "=", maxSplits: 1)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }
        guard let node = RabbitMQNode(variables: Dictionary(pairs) { $1 }) else {
            throw TestToolError("rabbitmq-node printed no variables: \(output)")
        }
        return node
    }

    /// Runs the body with a private node that tests may stop and restart, and removes it afterwards.
    package static func with<Value>(
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
    package var endpoint: String { String(url.drop { $0 != "@" }.dropFirst()) }

    /// Stops the node and removes its folder.
    package func stop() async throws {
        _ = try await Self.script(["stop", folder])
    }

    /// Kills the node as a crash would; its data remains.
    package func kill() async throws {
        _ = try await Self.script(["kill", folder])
    }

    /// Shuts the node down cleanly; its data remains.
    package func shutDown() async throws {
        _ = try await Self.script(["shutdown", folder])
    }

    /// Suspends the process of the node, like a machine that hangs, until ``thaw()``.
    package func freeze() async throws {
        _ = try await Self.script(["freeze", folder])
    }

    /// Resumes a frozen node.
    package func thaw() async throws {
        _ = try await Self.script(["thaw", folder])
    }

    /// Restarts a node that was killed or shut down, with its data and its address.
    package func restart() async throws {
        _ = try await Self.script(["restart", folder])
    }

    /// Runs `rabbitmqctl` for this node and returns its output.
    @discardableResult
    package func rabbitmqctl(_ arguments: String...) async throws -> String {
        try await rabbitmqctl(arguments)
    }

    /// Runs `rabbitmqctl` for this node with a list of arguments.
    @discardableResult
    package func rabbitmqctl(_ arguments: [String]) async throws -> String {
        try await Self.script(["ctl", folder] + arguments)
    }

    /// Runs the script and returns its output; throws its standard error if it fails.
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
                continuation.resume(throwing: TestToolError("rabbitmq-node \(what): \(complaint)"))
            }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
    }
}

extension RabbitMQNode {
    /// The TLS ports of a node and its certificates.
    package struct TLS: Sendable {
        /// The port whose certificate is for the name `localhost`; clients need no certificate.
        package let port: Int
        /// The port whose certificate is for the address `127.0.0.1`; clients need a certificate.
        package let strictPort: Int
        private let folder: String

        init?(variables: [String: String], folder: String) {
            guard let port = variables["SHEAF_TEST_AMQPS_PORT"].flatMap({ Int($0) }),
                let strictPort = variables["SHEAF_TEST_AMQPS_STRICT_PORT"].flatMap({ Int($0) })
            else { return nil }
            self.port = port
            self.strictPort = strictPort
            self.folder = "\(folder)/tls"
        }

        /// The path of the certificate that signed all others.
        package var authority: String { "\(folder)/ca.pem" }
        /// The path of a certificate that signed none of them.
        package var otherAuthority: String { "\(folder)/other-ca.pem" }
        /// The path of a client certificate.
        package var clientCertificate: String { "\(folder)/client.pem" }
        /// The path of the key of the client certificate.
        package var clientKey: String { "\(folder)/client.key" }
    }
}

/// An alarm of a RabbitMQ node, with the arguments of `rabbitmqctl` that set and clear it.
package struct BrokerAlarm: Sendable, CustomStringConvertible {
    package let description: String
    package let set: [String]
    package let clear: [String]

    /// The memory and the disk alarm.
    package static let all = [
        BrokerAlarm(
            description: "memory",
            set: ["set_vm_memory_high_watermark", "0.0000001"],
            clear: ["set_vm_memory_high_watermark", "0.4"]
        ),
        BrokerAlarm(
            description: "disk",
            set: ["set_disk_free_limit", "900000GB"],
            clear: ["set_disk_free_limit", "50MB"]
        ),
    ]
}

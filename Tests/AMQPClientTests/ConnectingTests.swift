import Foundation
import Testing

@testable import AMQPClient

extension BrokerTests {
    struct ConnectingTests {
        @Test("The broker reports its version")
        func brokerVersion() async throws {
            try await TestBroker.withConnection { connection in
                #expect(await connection.serverVersion?.contains(".") == true)
                #expect(await connection.serverProperties["product"] == "RabbitMQ")
                #expect(await !connection.isBlocked)
            }
        }

        @Test("A wrong password is refused with an error that names the user")
        func wrongPassword() async throws {
            var configuration = try TestBroker.configuration()
            configuration.password = AMQPSecret("wrong-and-secret")
            let start = ContinuousClock.now
            let error = await connectError(configuration)
            #expect(error?.code == .accessRefused)
            #expect(error?.replyCode == 403)
            #expect(error?.message.contains(configuration.user) == true)
            #expect(error?.message.contains(configuration.endpoint) == true)
            #expect(error?.message.contains("wrong-and-secret") == false)
            #expect(.now - start < .seconds(5))
        }

        @Test("A missing virtual host is refused with an error that names it")
        func missingVirtualHost() async throws {
            var configuration = try TestBroker.configuration()
            configuration.virtualHost = "no such host"
            let error = await connectError(configuration)
            #expect(error?.code == .accessRefused)
            #expect(error?.message.contains("no such host") == true)
        }

        @Test("Later connections have higher epochs")
        func epochsIncrease() async throws {
            try await TestBroker.withConnection { first in
                try await TestBroker.withConnection { second in #expect(second.epoch > first.epoch) }
            }
        }

        @Test("Calls on a closed connection fail with `closed`")
        func callsOnClosedConnection() async throws {
            let connection = try await AMQPConnection.connect(try TestBroker.configuration())
            let channel = try await connection.openChannel()
            let waiting = Task { await connection.waitUntilClosed() }
            await connection.close()
            #expect(await waiting.value == nil)
            await connection.close()
            #expect(await errorOf { _ = try await connection.openChannel() }?.code == .closed)
            #expect(await errorOf { try await channel.declareQueue("") }?.code == .closed)
            try await channel.close()
        }

        @Test("Waiting for closure can be cancelled")
        func cancelledWaitForClosure() async throws {
            try await TestBroker.withConnection { connection in
                let waiting = Task { await connection.waitUntilClosed() }
                waiting.cancel()
                #expect(await waiting.value?.code == .cancelled)
            }
        }

        @Test("The loss of the connection fails all pending calls")
        func lossFailsPendingCalls() async throws {
            let connection = try await AMQPConnection.connect(try TestBroker.configuration())
            let channel = try await connection.openChannel()
            let queue = try await channel.declareQueue("", durable: false, exclusive: true).name
            try await channel.setPrefetch(5)
            try await channel.enableConfirms()
            let consumer = try await channel.consume(queue)
            let messages = Array(repeating: AMQPMessage(routingKey: "nowhere", body: [1]), count: 100_000)
            let errors = try await within(.seconds(10)) {
                await withTaskGroup(of: AMQPError?.self) { group in
                    group.addTask { await errorOf { _ = try await consumer.next() } }
                    group.addTask { await errorOf { try await channel.publish(messages) } }
                    group.addTask { await connection.waitUntilClosed() }
                    group.addTask { await errorOf { while true { _ = try await channel.get(queue) } } }
                    group.addTask {
                        connection.socketGuard.cut()
                        return AMQPError(.connectionLost, "")
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
            }
            #expect(errors.count == 5)
            #expect(errors.allSatisfy { $0?.code == .connectionLost }, "\(errors)")
            #expect(await errorOf { _ = try await connection.openChannel() }?.code == .connectionLost)
            await connection.close()
        }

        private func connectError(_ configuration: AMQPConfiguration) async -> AMQPError? {
            await errorOf { await (try AMQPConnection.connect(configuration)).close() }
        }
    }
}

@Suite("Connecting without a broker")
struct UnreachableBrokerTests {
    @Test("A refused port fails at once with an error that names it")
    func refusedPort() async throws {
        let port = try ListeningSocket().port
        let error = await connectError(AMQPConfiguration(host: "127.0.0.1", port: port))
        #expect(error?.code == .connectionFailed)
        #expect(error?.systemError == ECONNREFUSED)
        #expect(error?.message.contains("127.0.0.1:\(port)") == true)
    }

    @Test("A silent server fails after the time limit", arguments: [false, true])
    func silentServer(isTLS: Bool) async throws {
        let listener = try ListeningSocket()
        var configuration = AMQPConfiguration(host: "localhost", port: listener.port)
        configuration.host = "127.0.0.1"
        configuration.tls = isTLS ? AMQPTLSConfiguration() : nil
        configuration.handshakeTimeout = .milliseconds(500)
        configuration.connectTimeout = .milliseconds(500)
        let start = ContinuousClock.now
        let error = await connectError(configuration)
        #expect(error?.code == .connectionFailed)
        #expect(.now - start < .seconds(5))
        withExtendedLifetime(listener) {}
    }

    @Test("A connecting task can be cancelled")
    func cancelledConnect() async throws {
        let listener = try ListeningSocket()
        let configuration = AMQPConfiguration(host: "127.0.0.1", port: listener.port)
        let task = Task { await connectError(configuration) }
        task.cancel()
        #expect(try await within(.seconds(5)) { await task.value }?.code == .cancelled)
        withExtendedLifetime(listener) {}
    }

    @Test("A host without an address is named in the error")
    func hostWithoutAddress() async {
        let error = await connectError(AMQPConfiguration(host: "no-such-host.invalid"))
        #expect(error?.code == .connectionFailed)
        #expect(error?.message.contains("no-such-host.invalid") == true)
    }

    @Test("Certificates that cannot be read are named in the error")
    func unreadableCertificates() async {
        let tls = AMQPTLSConfiguration(trustRootsPath: "/no/such/file.pem")
        let error = await connectError(AMQPConfiguration(host: "127.0.0.1", tls: tls))
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("/no/such/file.pem") == true)
    }

    private func connectError(_ configuration: AMQPConfiguration) async -> AMQPError? {
        await errorOf { await (try AMQPConnection.connect(configuration)).close() }
    }
}

/// A port of the loopback address that accepts connections and never answers, until it is released.
final class ListeningSocket: Sendable {
    let port: Int
    private let descriptor: Int32

    init() throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = self.descriptor
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                bind(descriptor, address, length) | listen(descriptor, 8) | getsockname(descriptor, address, &length)
            }
        }
        self.port = Int(UInt16(bigEndian: address.sin_port))
        try #require(status == 0)
    }

    deinit { close(descriptor) }
}

import SheafBroker
import SheafCore
import SheafRabbitMQ
import SheafTestTools
import Testing

/// TLS as users configure it, by the URL alone, on a private node.
@Suite(.timeLimit(.minutes(2))) struct TLSTests {
    private static let node = Task { try await RabbitMQNode.start(withTLS: true) }

    @Test("A trusted broker is usable on every connection")
    func trusted() async throws {
        let tls = try await self.tls()
        let broker = try await self.connect("amqps://localhost:\(tls.port)?cacertfile=\(tls.authority)")
        try await self.useFromEndToEnd(broker)
        await broker.close()
    }

    @Test("An unknown authority is not trusted")
    func anUnknownAuthorityIsNotTrusted() async throws {
        let tls = try await self.tls()
        let error = try await self.refusal("amqps://localhost:\(tls.port)?cacertfile=\(tls.otherAuthority)", .untrusted)
        #expect(error.message.contains("not trusted by the certificates in \(tls.otherAuthority)"), "\(error)")
    }

    @Test("The system's authorities are the default")
    func theSystemsAuthoritiesAreTheDefault() async throws {
        let tls = try await self.tls()
        let error = try await self.refusal("amqps://localhost:\(tls.port)", .untrusted)
        #expect(error.message.contains("not trusted by the system's certificates"), "\(error)")
    }

    @Test("A certificate for another host is rejected")
    func aCertificateForAnotherHostIsRefused() async throws {
        let tls = try await self.tls()
        let byAddress = try await self.refusal("amqps://127.0.0.1:\(tls.port)?cacertfile=\(tls.authority)", .untrusted)
        #expect(byAddress.message.contains("the certificate of 127.0.0.1:\(tls.port) is not for 127.0.0.1"))
        let byName = try await self.refusal(
            "amqps://localhost:\(tls.strictPort)?cacertfile=\(tls.authority)",
            .untrusted
        )
        #expect(byName.message.contains("the certificate of localhost:\(tls.strictPort) is not for localhost"))
    }

    @Test("A client certificate is sent if the broker requires it")
    func clientCertificate() async throws {
        let tls = try await self.tls()
        let url = "amqps://127.0.0.1:\(tls.strictPort)?cacertfile=\(tls.authority)"
        let error = try await self.refusal(url)
        #expect(error.message.contains("client certificate"), "\(error)")
        let client = "certfile=\(tls.clientCertificate)&keyfile=\(tls.clientKey)"
        let broker = try await self.connect("\(url)&\(client)")
        try await self.useFromEndToEnd(broker)
        await broker.close()
    }

    @Test("The error for a key of another certificate names the key")
    func aKeyOfAnotherCertificateIsNamed() async throws {
        let tls = try await self.tls()
        let client = "certfile=\(tls.authority)&keyfile=\(tls.clientKey)"
        let url = "amqps://127.0.0.1:\(tls.strictPort)?cacertfile=\(tls.authority)&\(client)"
        let error = try await brokerError { _ = try await self.connect(url) }
        #expect(error.code == .invalidArgument)
        #expect(error.message.contains(tls.clientKey), "\(error)")
    }

    @Test("The error for a wrong port explains the cause")
    func wrongPort() async throws {
        let node = try await Self.node.value
        let tls = try await self.tls()
        let plain = try await self.refusal("amqp://127.0.0.1:\(tls.port)")
        #expect(plain.message.contains("amqps"), "\(plain)")
        let encrypted = try await self.refusal("amqps://\(node.endpoint)")
        #expect(encrypted.message.contains("does not speak TLS"), "\(encrypted)")
        let refused = try await self.refusal("amqps://127.0.0.1:1")
        #expect(refused.message.contains("refused"), "\(refused)")
    }

    private func tls() async throws -> RabbitMQNode.TLS { try #require(try await Self.node.value.tls) }

    private func connect(_ url: String) async throws -> RabbitMQBroker {
        let configuration = try RabbitMQConfiguration(url: url, namespace: uniqueName("tls"))
        return try await within(.seconds(15)) { try await RabbitMQBroker.connect(configuration) }
    }

    /// Returns the error of a connection that must fail, well within its time limit.
    private func refusal(
        _ url: String,
        _ code: BrokerError.Code = .unreachable,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> BrokerError {
        let start = ContinuousClock.now
        let error = try await brokerError(sourceLocation: sourceLocation) { await (try self.connect(url)).close() }
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
        #expect(error.isRetryable == (code == .unreachable), "\(error)", sourceLocation: sourceLocation)
        #expect(.now - start < .seconds(9), sourceLocation: sourceLocation)
        return error
    }

    /// Sends and receives small and large messages on all connections of a broker.
    private func useFromEndToEnd(_ broker: RabbitMQBroker) async throws {
        let queue = uniqueName("queue")
        try await broker.declareQueue(QueueDeclaration(name: queue, kind: .work(deliveryLimit: 3)))
        let messages = [0, 1, 16_384, 131_064, 3_000_000].map { size in
            Message(id: String(size), body: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
        }
        try await broker.publish(messages, to: queue)
        let consumer = try await broker.consume(queue, prefetch: messages.count)
        var deliveries: [Delivery] = []
        while deliveries.count < messages.count {
            deliveries += try #require(try await within(.seconds(20)) { try await consumer.next() })
        }
        #expect(deliveries.map(\.message) == messages)
        try await broker.settle(deliveries, as: .acknowledged)
        #expect(try await broker.acquireLock(uniqueName("lock")) != nil)
        try await broker.deleteQueue(queue)
    }
}

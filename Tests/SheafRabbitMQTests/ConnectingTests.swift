import SheafBroker
import SheafRabbitMQ
import SheafTestTools
import Testing

@Suite struct ConnectingTests {
    @Test("A wrong password is refused and does not appear in the error")
    func wrongPassword() async throws {
        let node = try await RabbitMQNode.shared
        let configuration = try RabbitMQConfiguration(url: "amqp://guest:hush-hush@\(node.endpoint)")
        let error = try await brokerError {
            _ = try await within(.seconds(10)) { try await RabbitMQBroker.connect(configuration) }
        }
        #expect(error.code == .accessRefused)
        #expect(error.message.contains("guest"))
        #expect(error.message.contains(node.endpoint))
        #expect(!"\(error) \(String(reflecting: error)) \(configuration)".contains("hush"))
    }

    @Test("A port without a broker is reported as unreachable within seconds")
    func unreachablePort() async throws {
        let configuration = try RabbitMQConfiguration(url: "amqp://guest:hush-hush@127.0.0.1:1")
        let error = try await brokerError {
            _ = try await within(.seconds(5)) { try await RabbitMQBroker.connect(configuration) }
        }
        #expect(error.code == .unreachable)
        #expect(error.isRetryable)
        #expect(error.message.contains("127.0.0.1:1"))
        #expect(!"\(error) \(String(reflecting: error))".contains("hush"))
    }

    @Test(
        "The error for an invalid URL does not contain the URL",
        arguments: ["guest:hush@localhost", "http://guest:hush@localhost", "amqp://guest:hush@localhost:port"]
    )
    func invalidURL(url: String) async throws {
        let error = try await brokerError { _ = try RabbitMQConfiguration(url: url) }
        #expect(error.code == .invalidArgument)
        #expect(!"\(error)".contains("hush"))
    }

    @Test("The description contains the rules of the version")
    func description() async throws {
        let node = try await RabbitMQNode.shared
        let broker = try await connect(node)
        let description = try await broker.description
        #expect(description.kind == "RabbitMQ")
        #expect(description.address == node.endpoint)
        #expect(description.version.contains("."))
        #expect(description.notes.contains { $0.contains("consumer") })
        await broker.close()
    }
}

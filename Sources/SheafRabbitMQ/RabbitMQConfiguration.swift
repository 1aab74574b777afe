package import AMQPClient
import SheafBroker

/// Where RabbitMQ is and how Sheaf uses it.
package struct RabbitMQConfiguration: Sendable, Hashable {
    /// The address, the credentials and the time-outs; each connection appends its purpose to the name.
    package var connection: AMQPConfiguration
    /// The prefix of the exchanges and queues that the broker layer declares for itself, such as the delay ladder.
    package var namespace: String
    /// The maximum size of a message body in bytes; RabbitMQ 4 accepts 16 MiB by default.
    package var maximumMessageBytes: Int {
        didSet { connection.maximumBodySize = maximumMessageBytes }
    }

    /// Creates a configuration.
    ///
    /// - Parameters:
    ///   - connection: The address and the credentials.
    ///   - namespace: The prefix of what the broker layer declares for itself.
    package init(connection: AMQPConfiguration, namespace: String = "sheaf") {
        self.connection = connection
        self.namespace = namespace
        self.maximumMessageBytes = 16 << 20
        self.connection.maximumBodySize = 16 << 20
    }

    /// Creates a configuration from a URL such as `amqp://user:password@host:5672/vhost`, or `amqps://…` for TLS.
    ///
    /// - Parameters:
    ///   - url: The URL with its credentials.
    ///   - namespace: The prefix of what the broker layer declares for itself.
    ///   - connectionName: The name of the connections in RabbitMQ's management UI.
    /// - Throws: `BrokerError` with the code `invalidArgument`; its message does not contain the URL.
    package init(url: String, namespace: String = "sheaf", connectionName: String = "sheaf") throws {
        do {
            self.init(
                connection: try AMQPConfiguration(url: url, connectionName: connectionName),
                namespace: namespace
            )
        } catch {
            throw BrokerError(.invalidArgument, error.message, underlying: error)
        }
    }

    /// The address for display: host, port and virtual host, without user and password.
    var address: String {
        let path = connection.virtualHost == "/" ? "" : "/\(connection.virtualHost)"
        return connection.endpoint + path
    }
}

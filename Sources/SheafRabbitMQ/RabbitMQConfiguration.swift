public import AMQPClient
import SheafBroker

/// Where RabbitMQ is and how Sheaf uses it.
public struct RabbitMQConfiguration: Sendable, Hashable {
    /// The address, the credentials and the time-outs; the connection's name is completed by what each is for.
    public var connection: AMQPConfiguration
    /// Begins the names of the exchanges and queues that the broker layer makes for itself, such as the delay ladder.
    public var namespace: String
    /// The largest body of a message; RabbitMQ 4 takes 16 MiB unless told otherwise.
    public var maximumMessageBytes: Int {
        didSet { connection.maximumBodySize = maximumMessageBytes }
    }

    /// Makes a configuration.
    ///
    /// - Parameters:
    ///   - connection: Where to connect, and as whom.
    ///   - namespace: Begins the names of what the broker layer makes for itself.
    public init(connection: AMQPConfiguration, namespace: String = "sheaf") {
        self.connection = connection
        self.namespace = namespace
        self.maximumMessageBytes = 16 << 20
        self.connection.maximumBodySize = 16 << 20
    }

    /// Makes a configuration of an address such as `amqp://user:password@host:5672/vhost`, or `amqps://…` for TLS.
    ///
    /// - Parameters:
    ///   - url: The address with its credentials.
    ///   - namespace: Begins the names of what the broker layer makes for itself.
    ///   - connectionName: The name of the connections in RabbitMQ's management pages.
    /// - Throws: `BrokerError` with the code `invalidArgument`; it does not repeat the address.
    public init(url: String, namespace: String = "sheaf", connectionName: String = "sheaf") throws {
        do {
            self.init(
                connection: try AMQPConfiguration(url: url, connectionName: connectionName),
                namespace: namespace
            )
        } catch {
            throw BrokerError(.invalidArgument, error.message, underlying: error)
        }
    }

    /// The address for people: host, port and virtual host, without user and password.
    var address: String {
        let path = connection.virtualHost == "/" ? "" : "/\(connection.virtualHost)"
        return connection.endpoint + path
    }
}

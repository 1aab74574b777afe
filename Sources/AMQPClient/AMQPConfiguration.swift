/// Where the broker is and how to talk to it.
///
/// Neither its description nor its mirror shows the password.
public struct AMQPConfiguration: Sendable, Hashable {
    /// The name or address of the broker's host.
    public var host: String
    /// The port.
    public var port: Int
    /// The virtual host.
    public var virtualHost: String
    /// The user.
    public var user: String
    /// The password.
    public var password: AMQPSecret
    /// How to talk TLS, or nil for plain TCP.
    public var tls: AMQPTLSConfiguration?
    /// The name of the connection in the broker's management pages.
    public var connectionName: String
    /// How long either side may be silent before it sends a sign of life; whole seconds, at least one.
    public var heartbeat: Duration = .seconds(10)
    /// The largest frame to agree on with the broker, in bytes; at least 4096, and headers must fit into it.
    public var maximumFrameSize: Int = 131_072
    /// How long finding the address and connecting may take.
    public var connectTimeout: Duration = .seconds(10)
    /// How long the broker may take to let us in.
    public var handshakeTimeout: Duration = .seconds(10)
    /// How long the broker may take to answer a call such as declaring a queue.
    public var rpcTimeout: Duration = .seconds(30)
    /// How long a call of `publish` may take from the call to the last confirm.
    public var publishTimeout: Duration = .seconds(30)
    /// How long closing may take before the socket is cut.
    public var closeTimeout: Duration = .seconds(5)
    /// The largest body that `publish` accepts, in bytes.
    public var maximumBodySize: Int = 128 << 20

    /// Makes a configuration.
    public init(
        host: String = "localhost",
        port: Int? = nil,
        virtualHost: String = "/",
        user: String = "guest",
        password: AMQPSecret = AMQPSecret("guest"),
        tls: AMQPTLSConfiguration? = nil,
        connectionName: String = "sheaf"
    ) {
        self.host = host
        self.port = port ?? (tls == nil ? 5672 : 5671)
        self.virtualHost = virtualHost
        self.user = user
        self.password = password
        self.tls = tls
        self.connectionName = connectionName
    }
}

extension AMQPConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The place as people write it, such as `amqp://guest@localhost:5672/`, without the password.
    public var description: String {
        let scheme = self.tls == nil ? "amqp" : "amqps"
        return "\(scheme)://\(self.user)@\(self.endpoint)\(self.virtualHost == "/" ? "/" : "/\(self.virtualHost)")"
    }

    /// The same as the description.
    public var debugDescription: String { self.description }

    /// A mirror of the description alone.
    public var customMirror: Mirror { Mirror(self, children: ["url": self.description]) }

    /// The host and the port, with brackets around an IPv6 address.
    public var endpoint: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}

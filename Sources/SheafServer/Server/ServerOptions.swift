package import NIOCore
package import SheafSettings
package import SheafTelemetry

/// Where and how the server listens, and whom it admits.
package struct ServerOptions: Sendable {
    /// A bearer token.
    package struct Token: Sendable {
        /// The name for the log.
        package var name: String
        /// What the client sends.
        package var secret: String
        /// What it allows.
        package var scope: AccessScope

        /// Creates a token.
        package init(name: String, secret: String, scope: AccessScope) {
            self.name = name
            self.secret = secret
            self.scope = scope
        }
    }

    /// The address to listen on: a host name or an IP address.
    package var host = "127.0.0.1"
    /// The port to listen on; 0 takes any free port.
    package var port = 8080
    /// The path under which the server is reached, such as `/sheaf`, or empty.
    package var prefix = ""
    /// The URL under which clients reach the server, such as `https://sheaf.example.org`; nil if it is the address.
    package var publicURL: String?
    /// The PEM files of the certificate with its chain and of its private key; nil serves plain HTTP.
    package var tls: (certificate: String, key: String)?
    /// The tokens; without any, every client may do everything, and only the loopback interface is served.
    package var tokens: [Token] = []
    /// Further names that the `Host` header may have; `*.example.org` means every name below it.
    package var allowedHosts: [String] = []
    /// The bounds of requests and connections.
    package var limits = ServerLimits()
    /// How long running requests may continue after the server was told to end.
    package var drainTime = Duration.seconds(25)
    /// The flows of the server's own configuration.
    package var flows: [FlowSettings] = []
    /// The dispatchers of the server's own configuration.
    package var dispatchers: [ServedDispatcher] = []
    /// How many of the newest active batches have series of their own in `/metrics`.
    package var metricsBatches = 0
    /// What records the publishing of tasks in traces.
    package var traces = BatchTraces.off

    /// Creates options that serve the loopback interface on port 8080.
    package init() {}

    /// Creates the options of a configuration; tokens whose variable is not set are left out.
    package init(_ settings: ServerSettings) {
        host = settings.host ?? host
        port = settings.port ?? port
        prefix = settings.prefix
        publicURL = settings.publicURL
        if let certificate = settings.certificate, let key = settings.key { tls = (certificate, key) }
        tokens = settings.tokens.compactMap { token in
            token.secret.map { Token(name: token.name, secret: $0, scope: token.scope) }
        }
        allowedHosts = settings.allowedHosts
    }

    /// Whether the address can be reached from this machine only.
    var isLoopback: Bool {
        host.lowercased() == "localhost" || host == "::1" || (host.hasPrefix("127.") && HostRules.isAddress(host))
    }

    /// Whether clients use HTTPS, with this server or with a proxy before it.
    var isSecure: Bool { tls != nil || publicURL?.hasPrefix("https:") == true }

    /// The URL to show, with the port that was bound.
    package func url(port: Int) -> String {
        let name = host.contains(":") ? "[\(host)]" : host
        return (publicURL ?? "\(tls == nil ? "http" : "https")://\(name):\(port)") + prefix
    }
}

/// The bounds of requests and connections.
package struct ServerLimits: Sendable {
    /// The most connections; each further one is answered with 503 and closed.
    package var connections = 1000
    /// The most bytes of all header fields of a request; a longer header is answered with 431.
    package var headerBytes = 64 << 10
    /// The longest time from the first byte of a request to the end of its header; then 408.
    package var headerTime = TimeAmount.seconds(15)
    /// How long a connection without a request is kept.
    package var idleTime = TimeAmount.seconds(75)
    /// The interval in which a body must make progress.
    package var bodyInterval = TimeAmount.seconds(15)
    /// The least bytes of a body in each interval in which the server is ready to read; then 408.
    package var bodyBytes = 15 << 10
    /// How long a client may read nothing of a response.
    package var writeTime = TimeAmount.seconds(60)
    /// The most bytes of a body that are read and dropped after the request was answered.
    package var surplusBytes = 16 << 20

    /// Creates the default bounds.
    package init() {}
}

/// The address of a broker and the settings of a connection to it.
///
/// Neither its description nor its mirror shows the password.
package struct AMQPConfiguration: Sendable, Hashable {
    /// The name or address of the broker's host.
    package var host: String
    /// The port.
    package var port: Int
    /// The virtual host.
    package var virtualHost: String
    /// The user.
    package var user: String
    /// The password.
    package var password: AMQPSecret
    /// The TLS settings, or nil for plain TCP.
    package var tls: AMQPTLSConfiguration?
    /// The name of the connection in the broker's management pages.
    package var connectionName: String
    /// The interval after which a silent side sends a heartbeat frame, in full seconds, at least one.
    package var heartbeat: Duration = .seconds(10)
    /// The largest frame to negotiate with the broker, in bytes, at least 4096; the headers of a message must fit into
    /// it.
    package var maximumFrameSize: Int = 131_072
    /// The time limit for resolving the address and connecting.
    package var connectTimeout: Duration = .seconds(10)
    /// The time limit for the login.
    package var handshakeTimeout: Duration = .seconds(10)
    /// The time limit for the broker's answer to a call such as declaring a queue.
    package var rpcTimeout: Duration = .seconds(30)
    /// The time limit of a `publish` call, from the call to the last confirm.
    package var publishTimeout: Duration = .seconds(30)
    /// The time limit for closing, after which the socket is shut down.
    package var closeTimeout: Duration = .seconds(5)
    /// The largest body that `publish` accepts, in bytes.
    package var maximumBodySize: Int = 128 << 20

    /// Makes a configuration.
    package init(
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
    /// The URL without the password, such as `amqp://guest@localhost:5672/`.
    package var description: String {
        let scheme = tls == nil ? "amqp" : "amqps"
        return "\(scheme)://\(user)@\(endpoint)\(virtualHost == "/" ? "/" : "/\(virtualHost)")"
    }

    /// The same as the description.
    package var debugDescription: String { description }

    /// A mirror that shows only the description.
    package var customMirror: Mirror { Mirror(self, children: ["url": description]) }

    /// The host and the port, with brackets around an IPv6 address.
    package var endpoint: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

extension AMQPConfiguration {
    /// Parses `amqp://user:password@host:port/vhost`, or the same with `amqps`, each part percent-encoded.
    ///
    /// The defaults are `guest`, `guest`, `localhost`, 5672 (5671 for `amqps`) and `/`. The query may set `heartbeat`
    /// (seconds), `connection_timeout` (milliseconds), and with `amqps` the paths of PEM files as in
    /// `amqps://host/vhost?cacertfile=ca.pem&certfile=client.pem&keyfile=client.key`, see `AMQPTLSConfiguration`.
    ///
    /// - Throws: `AMQPError` with the code `invalidArgument`, whose message names the part that cannot be parsed.
    package init(url: String, connectionName: String = "sheaf") throws(AMQPError) {
        let (scheme, afterScheme) = url.split(at: "://")
        let isTLS: Bool
        switch scheme.lowercased() {
        case "amqp" where afterScheme != nil: isTLS = false
        case "amqps" where afterScheme != nil: isTLS = true
        default: throw Self.unreadable("scheme", "it must be amqp:// or amqps://")
        }
        let (beforeQuery, query) = (afterScheme ?? "").split(at: "?")
        let (authority, path) = beforeQuery.split(at: "/")
        // Otherwise a part of the password would be parsed as a port or a virtual host, and shown in messages.
        if !authority.contains("@"), (path ?? "").contains("@") {
            throw Self.unreadable("virtual host", "it contains an @; write a / in a password as %2F and an @ as %40")
        }
        self.init(tls: isTLS ? AMQPTLSConfiguration() : nil, connectionName: connectionName)
        try read(authority: authority)
        if let path, !path.isEmpty { virtualHost = try Self.decode(path, "virtual host") }
        for parameter in (query ?? "").split(separator: "&") { try read(parameter: parameter) }
        try validate()
    }

    private mutating func read(authority: Substring) throws(AMQPError) {
        var place = authority
        if let at = authority.lastIndex(of: "@") {
            let (user, password) = authority[..<at].split(at: ":")
            self.user = try Self.decode(user, "user")
            if let password { self.password = AMQPSecret(try Self.decode(password, "password")) }
            place = authority[authority.index(after: at)...]
        }
        let (host, port) = try Self.split(place: place)
        if !host.isEmpty { self.host = try Self.decode(host, "host") }
        guard let port, !port.isEmpty else { return }
        guard let number = Int(port), (1...65_535).contains(number) else {
            throw Self.unreadable("port", "it must be a number from 1 to 65535")
        }
        self.port = number
    }

    private static func split(place: Substring) throws(AMQPError) -> (Substring, Substring?) {
        guard place.hasPrefix("[") else { return place.split(at: ":") }
        guard let end = place.firstIndex(of: "]") else { throw Self.unreadable("host", "a bracket is not closed") }
        let host = place[place.index(after: place.startIndex)..<end]
        let rest = place[place.index(after: end)...]
        guard rest.isEmpty || rest.hasPrefix(":") else { throw Self.unreadable("port", "it must come after a colon") }
        return (host, rest.isEmpty ? nil : rest.dropFirst())
    }

    private mutating func read(parameter: Substring) throws(AMQPError) {
        let (name, rawValue) = parameter.split(at: "=")
        let value = try Self.decode(rawValue ?? "", "query")
        switch name {
        case "heartbeat": heartbeat = .seconds(try Self.positive(value, "heartbeat"))
        case "connection_timeout":
            connectTimeout = .milliseconds(try Self.positive(value, "connection_timeout"))
        case "cacertfile": try changeTLS("cacertfile") { $0.trustRootsPath = value }
        case "certfile": try changeTLS("certfile") { $0.certificatePath = value }
        case "keyfile": try changeTLS("keyfile") { $0.privateKeyPath = value }
        default: throw Self.unreadable("query", "it has an unknown parameter; write a ? in a password as %3F")
        }
    }

    private mutating func changeTLS(
        _ name: String,
        _ change: (inout AMQPTLSConfiguration) -> Void
    ) throws(AMQPError) {
        guard var tls = self.tls else { throw Self.unreadable("query", "\"\(name)\" needs amqps://") }
        change(&tls)
        self.tls = tls
    }

    private static func positive(_ text: String, _ part: String) throws(AMQPError) -> Int {
        guard let number = Int(text), (1...1_000_000_000).contains(number) else {
            throw Self.unreadable(part, "it must be a positive number")
        }
        return number
    }

    private static func decode(_ text: Substring, _ part: String) throws(AMQPError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst()?.hexadecimalValue, let low = rest.popFirst()?.hexadecimalValue else {
                throw Self.unreadable(part, "a percent sign needs two hexadecimal digits after it")
            }
            bytes.append(high << 4 | low)
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw Self.unreadable(part, "it is not UTF-8")
        }
        return decoded
    }

    private static func unreadable(_ part: String, _ reason: String) -> AMQPError {
        AMQPError(.invalidArgument, "invalid \(part) in the broker's URL: \(reason)")
    }
}

extension StringProtocol where SubSequence == Substring {
    /// Returns the part before the first separator, and the part after it, or nil if there is no separator.
    fileprivate func split(at separator: String) -> (Substring, Substring?) {
        let text = Substring(self)
        guard let range = text.firstRange(of: separator) else { return (text, nil) }
        return (text[..<range.lowerBound], text[range.upperBound...])
    }
}

extension UInt8 {
    fileprivate var hexadecimalValue: UInt8? { Character(UnicodeScalar(self)).hexDigitValue.map { UInt8($0) } }
}

extension AMQPConfiguration {
    /// Checks values that the library would misinterpret.
    func validate() throws(AMQPError) {
        try Self.check(!host.isEmpty, "the host is empty")
        try Self.check((1...65_535).contains(port), "the port \(port) is not between 1 and 65535")
        try Self.check(!virtualHost.isEmpty, "the virtual host is empty")
        try Self.check(virtualHost.utf8.count <= 255, "the virtual host is longer than 255 bytes")
        let parts = [host, virtualHost, user, password.reveal()]
        try Self.check(
            parts.allSatisfy { !$0.utf8.contains(0) },
            "the host, virtual host, user or password contains a zero byte"
        )
        try Self.check(connectionName.utf8.count <= 1024, "the connection name is longer than 1024 bytes")
        try Self.check(
            user.utf8.count + password.reveal().utf8.count <= 2048,
            "user and password together are longer than 2048 bytes"
        )
        try Self.check(heartbeat >= .seconds(1), "the heartbeat is shorter than a second")
        try Self.check(
            (4_096...131_072).contains(maximumFrameSize),
            "the maximum frame size is not between 4096 and 131072"
        )
        try Self.check(maximumBodySize >= 0, "the maximum body size is negative")
        if let tls = self.tls {
            let paired = (tls.certificatePath == nil) == (tls.privateKeyPath == nil)
            try Self.check(paired, "a client certificate needs the paths of both certificate and key")
        }
    }

    private static func check(_ condition: Bool, _ message: String) throws(AMQPError) {
        guard condition else { throw AMQPError(.invalidArgument, message) }
    }
}

/// TLS settings; the certificate and the host name are always verified, and the minimum version is TLS 1.2.
package struct AMQPTLSConfiguration: Sendable, Hashable {
    /// The path of the file with the trusted certificates in PEM format, or nil for those that the system trusts.
    ///
    /// OpenSSL looks for the system's certificates in its default location, or in `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    package var trustRootsPath: String?
    /// The path of the client's certificate chain in PEM format.
    package var certificatePath: String?
    /// The path of the client's private key in PEM format, without a password.
    package var privateKeyPath: String?

    /// Makes a configuration; a client certificate requires the paths of both certificate and key.
    package init(trustRootsPath: String? = nil, certificatePath: String? = nil, privateKeyPath: String? = nil) {
        self.trustRootsPath = trustRootsPath
        self.certificatePath = certificatePath
        self.privateKeyPath = privateKeyPath
    }
}

/// A secret string that is hidden in descriptions, dumps and interpolations.
package struct AMQPSecret: Sendable, Hashable {
    private let text: String

    /// Wraps a secret string.
    package init(_ text: String) { self.text = text }

    /// Returns the secret string.
    package func reveal() -> String { text }
}

extension AMQPSecret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// A few dots.
    package var description: String { "•••" }

    /// A few dots.
    package var debugDescription: String { "•••" }

    /// A mirror without children.
    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension AMQPConfiguration {
    /// Reads `amqp://user:password@host:port/vhost`, or the same with `amqps`, each part percent-encoded.
    ///
    /// What is missing is `guest`, `guest`, `localhost`, 5672 (5671 for `amqps`) and `/`. The query may name
    /// `heartbeat` (seconds), `connection_timeout` (milliseconds), and with `amqps` the paths of PEM files as in
    /// `amqps://host/vhost?cacertfile=ca.pem&certfile=client.pem&keyfile=client.key`, see `AMQPTLSConfiguration`.
    ///
    /// - Throws: `AMQPError` with the code `invalidArgument` that names the part which cannot be read.
    public init(url: String, connectionName: String = "sheaf") throws(AMQPError) {
        let (scheme, afterScheme) = url.split(at: "://")
        let isTLS: Bool
        switch scheme.lowercased() {
        case "amqp" where afterScheme != nil: isTLS = false
        case "amqps" where afterScheme != nil: isTLS = true
        default: throw Self.unreadable("scheme", "it must be amqp:// or amqps://")
        }
        let (beforeQuery, query) = (afterScheme ?? "").split(at: "?")
        let (authority, path) = beforeQuery.split(at: "/")
        // Else a part of the password would be taken for a port or a virtual host, and shown in messages.
        if !authority.contains("@"), (path ?? "").contains("@") {
            throw Self.unreadable("virtual host", "it has an @; a / in a password is written %2F, an @ %40")
        }
        self.init(tls: isTLS ? AMQPTLSConfiguration() : nil, connectionName: connectionName)
        try self.read(authority: authority)
        if let path, !path.isEmpty { self.virtualHost = try Self.decode(path, "virtual host") }
        for parameter in (query ?? "").split(separator: "&") { try self.read(parameter: parameter) }
        try self.validate()
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
        guard rest.isEmpty || rest.hasPrefix(":") else { throw Self.unreadable("port", "it must follow a colon") }
        return (host, rest.isEmpty ? nil : rest.dropFirst())
    }

    private mutating func read(parameter: Substring) throws(AMQPError) {
        let (name, rawValue) = parameter.split(at: "=")
        let value = try Self.decode(rawValue ?? "", "query")
        switch name {
        case "heartbeat": self.heartbeat = .seconds(try Self.positive(value, "heartbeat"))
        case "connection_timeout":
            self.connectTimeout = .milliseconds(try Self.positive(value, "connection_timeout"))
        case "cacertfile": try self.changeTLS("cacertfile") { $0.trustRootsPath = value }
        case "certfile": try self.changeTLS("certfile") { $0.certificatePath = value }
        case "keyfile": try self.changeTLS("keyfile") { $0.privateKeyPath = value }
        default: throw Self.unreadable("query", "it has an unknown parameter; a ? in a password is written %3F")
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
        AMQPError(.invalidArgument, "cannot read the \(part) of the broker's URL: \(reason)")
    }
}

extension StringProtocol where SubSequence == Substring {
    /// What comes before the first separator, and what comes after it if it is there.
    fileprivate func split(at separator: String) -> (Substring, Substring?) {
        let text = Substring(self)
        guard let range = text.firstRange(of: separator) else { return (text, nil) }
        return (text[..<range.lowerBound], text[range.upperBound...])
    }
}

extension UInt8 {
    fileprivate var hexadecimalValue: UInt8? { Character(UnicodeScalar(self)).hexDigitValue.map { UInt8($0) } }
}

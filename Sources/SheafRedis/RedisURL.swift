public import SheafDispatch

/// The address of a Redis or Valkey server, such as `redis://user:password@host:6379/0` or `rediss://` with TLS.
///
/// No form of printing it shows the password.
public struct RedisURL: Sendable, Hashable {
    /// The host: a name or an address.
    public let host: String
    /// The port.
    public let port: Int
    /// The number of the database.
    public let database: Int
    let user: String?
    let password: String?
    let tls: TLS?

    struct TLS: Sendable, Hashable {
        var roots: String?
        var certificate: String?
        var key: String?
    }

    /// The expected form, for messages.
    package static let rule = "redis://user:password@host:port/database, or the same with rediss for TLS"
    /// The schemes.
    package static let schemes = ["redis", "rediss"]

    /// Parses a URL; the default port is 6379, and the default database 0.
    ///
    /// With `rediss`, the query may have paths of PEM files: `cacertfile`, `certfile` and `keyfile`.
    /// - Throws: ``RequestQueueError`` with `invalid`; the message has no part of the URL.
    public init(_ text: String) throws(RequestQueueError) {
        guard let colon = text.firstRange(of: "://") else { throw Self.invalid("it has no scheme") }
        let scheme = text[..<colon.lowerBound].lowercased()
        guard Self.schemes.contains(scheme) else { throw Self.invalid("the scheme is not redis or rediss") }
        let (beforeQuery, query) = Self.split(text[colon.upperBound...], "?")
        let (authority, path) = Self.split(beforeQuery, "/")
        // Otherwise a part of the password would be taken for the database, and shown in messages.
        if path?.contains("@") ?? false { throw Self.invalid("write a / in a password as %2F and an @ as %40") }
        var place = authority
        var credentials: (user: String?, password: String?) = (nil, nil)
        if let at = authority.lastIndex(of: "@") {
            let (user, password) = Self.split(authority[..<at], ":")
            credentials = (try Self.decode(user), try password.map(Self.decode))
            place = authority[authority.index(after: at)...]
        }
        user = credentials.user.flatMap { $0.isEmpty ? nil : $0 }
        password = credentials.password
        (host, port) = try Self.hostAndPort(place)
        let number = path ?? ""
        guard let database = number.isEmpty ? 0 : Int(number), database >= 0 else {
            throw Self.invalid("the database after the host must be a number from 0")
        }
        self.database = database
        tls = try Self.tls(scheme, query)
    }

    private static func tls(_ scheme: String, _ query: Substring?) throws(RequestQueueError) -> TLS? {
        var tls = TLS()
        for parameter in query?.split(separator: "&") ?? [] {
            guard scheme == "rediss" else { throw invalid("the paths of certificates need rediss") }
            let (name, value) = split(parameter, "=")
            let path = try decode(value ?? "")
            switch name {
            case "cacertfile": tls.roots = path
            case "certfile": tls.certificate = path
            case "keyfile": tls.key = path
            default: throw invalid("its query may have cacertfile, certfile and keyfile")
            }
        }
        return scheme == "rediss" ? tls : nil
    }

    private static func hostAndPort(_ place: Substring) throws(RequestQueueError) -> (String, Int) {
        var (host, port) = split(place, ":")
        if place.hasPrefix("[") {
            guard let end = place.firstIndex(of: "]") else { throw invalid("a bracket is not closed") }
            host = place[place.index(after: place.startIndex)..<end]
            let rest = place[place.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw invalid("the port must come after a colon") }
            port = rest.isEmpty ? nil : rest.dropFirst()
        }
        guard let port, !port.isEmpty else { return (host.isEmpty ? "127.0.0.1" : try decode(host), 6379) }
        guard let number = Int(port), (1...65_535).contains(number) else {
            throw invalid("the port must be a number from 1 to 65535")
        }
        return (host.isEmpty ? "127.0.0.1" : try decode(host), number)
    }

    private static func split(_ text: Substring, _ separator: Character) -> (Substring, Substring?) {
        guard let index = text.firstIndex(of: separator) else { return (text, nil) }
        return (text[..<index], text[text.index(after: index)...])
    }

    private static func decode(_ text: Substring) throws(RequestQueueError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let digits = String(rest.prefix(2)), digits.utf8.count == 2, !digits.hasPrefix("+"),
                let value = UInt8(digits, radix: 16)
            else { throw invalid("a percent sign needs two hexadecimal digits after it") }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: bytes, as: UTF8.self), !text.contains("\0") else {
            throw invalid("a part of it is not UTF-8")
        }
        return text
    }

    private static func invalid(_ reason: String) -> RequestQueueError {
        RequestQueueError(.invalid, "the URL of Redis cannot be used: \(reason); expected \(rule)")
    }
}

extension RedisURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The URL without user, password and query.
    public var description: String {
        "\(tls == nil ? "redis" : "rediss")://\(host.contains(":") ? "[\(host)]" : host):\(port)/\(database)"
    }

    /// The same as the description.
    public var debugDescription: String { description }

    /// A mirror that does not show the password.
    public var customMirror: Mirror { Mirror(self, children: ["url": description]) }
}

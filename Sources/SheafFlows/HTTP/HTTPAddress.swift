import Foundation

/// An absolute URL for HTTP.
struct HTTPAddress: Sendable, CustomStringConvertible {
    /// The whole URL as it is sent.
    let text: String
    /// `http` or `https`.
    let scheme: String
    /// The name or the address of the server, in small letters, without the brackets of IPv6.
    let host: String
    let port: Int
    private let path: String

    /// Reads a URL; nil where it is none with `http` or `https` and a host.
    init?(_ text: String, relativeTo base: HTTPAddress? = nil) {
        // Foundation would encode what has no place in a URL, and so guess.
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }),
            let url = URL(string: text, relativeTo: base.flatMap { URL(string: $0.text) })?.absoluteURL,
            let parts = URLComponents(url: url, resolvingAgainstBaseURL: true),
            let scheme = parts.scheme?.lowercased(), scheme == "http" || scheme == "https",
            let host = parts.host?.lowercased(), !host.isEmpty, parts.user == nil, parts.password == nil
        else { return nil }
        self.text = url.absoluteString.prefix { $0 != "#" }.description
        self.scheme = scheme
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        self.port = parts.port ?? (scheme == "https" ? 443 : 80)
        self.path = parts.percentEncodedPath
    }

    /// The URL without its query, which may hold what is secret.
    var description: String {
        let standard = scheme == "https" ? 443 : 80
        let name = host.contains(":") ? "[\(host)]" : host
        return "\(scheme)://\(name)\(port == standard ? "" : ":\(port)")\(path)"
    }

    /// Whether both are of one server, reached in one way.
    func hasSameOrigin(as other: HTTPAddress) -> Bool {
        scheme == other.scheme && host == other.host && port == other.port
    }
}

import Foundation
import Glibc

/// An absolute URL for HTTP.
struct HTTPAddress: Sendable, CustomStringConvertible {
    /// The whole URL as it is sent.
    let text: String
    /// `http` or `https`.
    let scheme: String
    /// The name or the address of the server in lower case, without the brackets of IPv6.
    let host: String
    let port: Int
    private let path: String

    /// Parses a URL; returns nil if it is not one with `http` or `https` and a host.
    init?(_ text: String, relativeTo base: HTTPAddress? = nil) {
        // Foundation would encode invalid characters, and so guess what is meant.
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

    /// The URL without its query, which may hold secrets.
    var description: String {
        let standard = scheme == "https" ? 443 : 80
        let name = host.contains(":") ? "[\(host)]" : host
        return "\(scheme)://\(name)\(port == standard ? "" : ":\(port)")\(path)"
    }

    /// Returns whether both have the same scheme, host and port.
    func hasSameOrigin(as other: HTTPAddress) -> Bool {
        scheme == other.scheme && host == other.host && port == other.port
    }
}

/// An IP address of a host.
struct NetworkAddress: Sendable, Hashable {
    /// 4 or 16 bytes.
    let bytes: [UInt8]

    /// The address as text.
    var text: String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &buffer, socklen_t(buffer.count)) != nil else { return "?" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether the address is one of this machine, of a private network, or not a public one for another reason.
    var isPrivate: Bool {
        if bytes.count == 4 { return Self.isPrivate(bytes[0], bytes[1], bytes[2]) }
        // Addresses that stand for one of IPv4: mapped, compatible, translated, and 6to4.
        if bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == bytes[11], bytes[10] == 0 || bytes[10] == 0xFF {
            return Self.isPrivate(bytes[12], bytes[13], bytes[14])
        }
        if bytes[..<12].elementsEqual([0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]) {
            return Self.isPrivate(bytes[12], bytes[13], bytes[14])
        }
        if bytes[0] == 0x20, bytes[1] == 0x02 { return Self.isPrivate(bytes[2], bytes[3], bytes[4]) }
        // Only 2000::/3 is assigned to the public internet.
        return bytes[0] & 0xE0 != 0x20
    }

    private static func isPrivate(_ first: UInt8, _ second: UInt8, _ third: UInt8) -> Bool {
        switch (first, second) {
        case (0, _), (10, _), (127, _), (224..., _), (169, 254), (192, 168), (100, 64...127), (172, 16...31),
            (198, 18...19):
            true
        case (192, 0): third == 0 || third == 2
        default: false
        }
    }

    /// Resolves a name; blocks until the resolver answers.
    static func find(_ host: String) -> [NetworkAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [NetworkAddress] = []
        var entry = list
        while let current = entry {
            if let address = NetworkAddress(current.pointee) { found.append(address) }
            entry = current.pointee.ai_next
        }
        return found
    }

    init(bytes: [UInt8]) { self.bytes = bytes }

    private init?(_ entry: addrinfo) {
        switch entry.ai_family {
        case AF_INET:
            guard
                let address = entry.ai_addr?.withMemoryRebound(
                    to: sockaddr_in.self,
                    capacity: 1,
                    { $0.pointee.sin_addr }
                )
            else { return nil }
            bytes = withUnsafeBytes(of: address) { Array($0) }
        case AF_INET6:
            guard
                let address = entry.ai_addr?.withMemoryRebound(
                    to: sockaddr_in6.self,
                    capacity: 1,
                    { $0.pointee.sin6_addr }
                )
            else { return nil }
            bytes = withUnsafeBytes(of: address) { Array($0) }
        default: return nil
        }
    }
}

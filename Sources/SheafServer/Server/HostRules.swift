import HTTPTypes
import Hummingbird
import NIOCore

/// Refuses requests that a foreign web page makes a browser send (DNS rebinding and cross-site requests).
struct HostRules: Sendable {
    private let names: Set<String>
    private let endings: [String]
    private let publicOrigin: String?

    init(_ options: ServerOptions) {
        publicOrigin = options.publicURL?.lowercased()
        let publicHost = publicOrigin.flatMap { $0.split(separator: "/").last }.flatMap { Self.host(of: String($0)) }
        let allowed = options.allowedHosts.map { $0.lowercased() }
        names = Set(["localhost", options.host.lowercased()] + (publicHost.map { [$0] } ?? []) + allowed)
        endings = allowed.filter { $0.hasPrefix("*.") }.map { String($0.dropFirst()) }
    }

    /// Checks where a request was sent to, and for one that acts, which page sent it.
    ///
    /// - Throws: `HTTPError` with 400 without a host, 421 for a foreign one, and 403 for a request of a foreign page.
    func check(_ request: HTTPRequest) throws {
        guard let authority = request.authority, let host = Self.host(of: authority.lowercased()) else {
            throw HTTPError(.badRequest, message: "the request has no valid Host header")
        }
        guard isAllowed(host) else {
            throw HTTPError(
                .misdirectedRequest,
                message: "this server does not serve the host '\(host)'; server.allowed_hosts lists its names"
            )
        }
        guard !AccessMiddleware.safeMethods.contains(request.method) else { return }
        guard isOwnPage(request, authority: authority.lowercased()) else {
            throw HTTPError(.forbidden, message: "the request comes from a page of another site")
        }
    }

    /// Whether the name leads here.
    ///
    /// An address is safe: a foreign page can only take over a name.
    private func isAllowed(_ host: String) -> Bool {
        names.contains(host) || endings.contains(where: host.hasSuffix) || Self.isAddress(host)
    }

    /// Whether the request comes from a page of this server, or from no page.
    private func isOwnPage(_ request: HTTPRequest, authority: String) -> Bool {
        // A page cannot set this header, and every current browser sends it to addresses it trusts.
        if let name = HTTPField.Name("Sec-Fetch-Site"), let site = request.headerFields[name] {
            return site == "same-origin" || site == "none"
        }
        guard let origin = request.headerFields[.origin]?.lowercased() else { return true }
        return origin == publicOrigin || origin == "http://\(authority)" || origin == "https://\(authority)"
    }

    /// Whether a host is an IP address.
    static func isAddress(_ host: String) -> Bool { (try? SocketAddress(ipAddress: host, port: 0)) != nil }

    /// Returns the host of `host:port` or `[address]:port`, without the brackets; nil if it is invalid.
    static func host(of authority: String) -> String? {
        let text: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            text = authority[authority.index(after: authority.startIndex)..<end]
        } else {
            text = authority.prefix { $0 != ":" }
        }
        let host = text.hasSuffix(".") ? text.dropLast() : text
        return host.isEmpty ? nil : String(host)
    }
}

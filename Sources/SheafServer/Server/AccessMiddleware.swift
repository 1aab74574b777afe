import HTTPTypes
import Hummingbird
import SheafSettings

/// Finds out what the caller may do, and refuses requests that need more.
///
/// Requests that change nothing need the scope `read`, all others `write`. Handlers that act also state so themselves
/// (``ServerContext/require(_:)``).
struct AccessMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    let access: AccessControl

    /// The methods that change nothing (RFC 9110, 9.2.1).
    static let safeMethods: Set<HTTPRequest.Method> = [.get, .head, .options]
    /// The paths that anyone may request: health, signing in, and the files that pages are made with.
    static let openPaths: Set = ["/healthz", "/readyz", "/login", "/logout"]
    private static let openFolder = "/assets/"

    @concurrent
    func handle(
        _ request: Request,
        context: ServerContext,
        next: @concurrent (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        let path = request.uri.path
        if Self.openPaths.contains(path) || path.hasPrefix(Self.openFolder) { return try await next(request, context) }
        if let grant = access.grant(for: request) {
            context.scope = grant.scope
            context.callerName = grant.name
        } else if request.isForPage, request.headers[.authorization] == nil {
            return SignInRoutes.redirect(to: request.uri.string, prefix: context.prefix)
        }
        try context.require(Self.safeMethods.contains(request.method) ? .read : .write)
        return try await next(request, context)
    }
}

extension Request {
    /// Whether a person's browser asks for a page, as opposed to a program or a script.
    var isForPage: Bool {
        method == .get && !uri.path.hasPrefix("/api/") && headers[.accept]?.contains("text/html") == true
    }
}

/// The tokens and what they allow.
struct AccessControl: Sendable {
    /// What a caller may do.
    struct Grant: Sendable {
        var name: String?
        var scope: AccessScope
    }

    /// The name of the cookie that holds the token of a browser.
    static let cookie = "sheaf_token"

    let tokens: [ServerOptions.Token]

    /// Returns what a request may do; nil without a valid token.
    ///
    /// Without any tokens, every request may do everything: only the loopback interface is served then.
    func grant(for request: Request) -> Grant? {
        guard !tokens.isEmpty else { return Grant(scope: .write) }
        if let header = request.headers[.authorization] {
            let parts = header.split(separator: " ", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
            return grant(for: parts[1].trimmingPrefix { $0 == " " })
        }
        return request.cookies[Self.cookie].flatMap { grant(for: $0.value) }
    }

    /// Returns what a token allows; nil if it is none.
    func grant(for secret: some StringProtocol) -> Grant? {
        // Every token is compared, and every byte, so that the time tells nothing about them.
        var grant: Grant?
        for token in tokens where Self.isEqual(secret.utf8, token.secret.utf8) {
            grant = grant ?? Grant(name: token.name, scope: token.scope)
        }
        return grant
    }

    /// Compares in a time that depends on the length of the first value only.
    static func isEqual(_ given: some Collection<UInt8>, _ secret: some Collection<UInt8>) -> Bool {
        let secret = Array(secret)
        guard !secret.isEmpty else { return false }
        var difference = given.count ^ secret.count
        for (position, byte) in given.enumerated() { difference |= Int(byte ^ secret[position % secret.count]) }
        return difference == 0
    }
}

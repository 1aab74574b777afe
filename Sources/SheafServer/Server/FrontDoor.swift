import Foundation
import HTTPTypes
import Hummingbird
import Logging
import SheafCore

/// Receives every request before the router and finishes every response after it.
struct FrontDoor<Inner: HTTPResponder>: HTTPResponder where Inner.Context == ServerContext {
    let inner: Inner
    let routes: RouteTable
    let hosts: HostRules
    let prefix: String
    /// Makes the page for an address that leads nowhere.
    let missingPage: @Sendable (_ request: Request, _ prefix: String) -> Response

    /// The paths of probes, which come often, from anywhere, and know no prefix.
    private static var probes: Set<String> { ["/healthz", "/readyz"] }

    func respond(to request: Request, context: ServerContext) async throws -> Response {
        let start = ContinuousClock.now
        var context = context
        context.prefix = prefix
        var response: Response
        do {
            response = try await answer(request, context)
        } catch {
            response = .problem(of: error, prefix: prefix)
        }
        SecurityHeaders.add(to: &response.headers)
        if request.method == .head { response = response.createHeadResponse() }
        log(request, response, context, time: ContinuousClock.now - start)
        return response
    }

    private func answer(_ request: Request, _ context: ServerContext) async throws -> Response {
        if ConnectionCount.isOverLimit {
            throw HTTPError(
                .serviceUnavailable,
                headers: [.retryAfter: "5", .connection: "close"],
                message: "the server has too many connections"
            )
        }
        let path = request.uri.path
        let isProbe = Self.probes.contains(path)
        if !isProbe { try hosts.check(request.head) }
        guard request.head.path?.hasPrefix("/") == true, Self.isPlain(path) else {
            throw HTTPError(.badRequest, message: "the path is invalid: it has '..', '.', a backslash or a control")
        }
        let inside = isProbe ? request : try request.removing(prefix: prefix)
        let response = try await inner.respond(to: inside, context: context)
        guard context.endpointPath == "NotFound", response.status == .notFound else { return response }
        return missing(inside)
    }

    /// Answers a request that no route takes: 204 with the methods for OPTIONS, 405 for another method, else 404.
    private func missing(_ request: Request) -> Response {
        let methods = routes.methods(at: request.uri.path)
        guard !methods.isEmpty else {
            if request.isForPage { return missingPage(request, prefix) }
            return .problem(.notFound, "there is nothing at \(request.method.rawValue) \(prefix)\(request.uri.path)")
        }
        let allow = methods.joined(separator: ", ")
        if request.method == .options { return Response(status: .noContent, headers: [.allow: allow]) }
        return .problem(
            .methodNotAllowed,
            "\(prefix)\(request.uri.path) does not accept \(request.method.rawValue)",
            next: "use \(allow)",
            headers: [.allow: allow]
        )
    }

    /// Whether a path, also after decoding, stays where it seems to lead.
    private static func isPlain(_ path: String) -> Bool {
        guard let decoded = path.removingPercentEncoding else { return false }
        guard !decoded.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F || $0 == "\\" }) else {
            return false
        }
        return !decoded.split(separator: "/").contains { $0 == ".." || $0 == "." }
    }

    private func log(_ request: Request, _ response: Response, _ context: ServerContext, time: Duration) {
        guard !Self.probes.contains(request.uri.path) else { return }
        let milliseconds = (time / .milliseconds(1) * 10).rounded() / 10
        let caller = context.callerName.map { " by '\($0)'" } ?? ""
        let line = "\(request.method.rawValue) \(request.uri.path) \(response.status.code) \(milliseconds) ms\(caller)"
        var logger = context.logger
        logger[metadataKey: "hb.request.id"] = nil  // nothing else mentions it
        logger.info("\(line)")
    }
}

extension Request {
    /// Returns the request as if the server were at the root.
    fileprivate func removing(prefix: String) throws -> Request {
        guard !prefix.isEmpty else { return self }
        guard let path = head.path, path.hasPrefix(prefix),
            path.count == prefix.count || "/?".contains(path.dropFirst(prefix.count).prefix(1))
        else { throw HTTPError(.notFound, message: "this server is at \(prefix)/") }
        var head = head
        let rest = path.dropFirst(prefix.count)
        head.path = rest.hasPrefix("/") ? String(rest) : "/\(rest)"
        return Request(head: head, body: body)
    }
}

/// The methods that each path accepts.
struct RouteTable: Sendable {
    private var routes: [(path: RouterPath, method: String)] = []

    init(_ router: Router<ServerContext>) {
        for route in router.routes {
            routes.append((route.path, route.method.rawValue))
            if route.method == .get { routes.append((route.path, "HEAD")) }
        }
    }

    /// Returns the methods of a path, sorted; with OPTIONS if there are others.
    ///
    /// Like the router, it prefers a route that names a part of the path to one that takes any: nothing but POST is
    /// possible at `dead/requeue`, although `dead/{number}` matches it too.
    func methods(at path: String) -> [String] {
        let parts = path.split(separator: "/")
        let matching = routes.filter { Self.matches($0.path, parts) }
        let best = matching.max { Self.names($0.path, parts).lexicographicallyPrecedes(Self.names($1.path, parts)) }
        let found = Set(matching.filter { $0.path.description == best?.path.description }.map(\.method))
        return found.isEmpty ? [] : found.union(["OPTIONS"]).sorted()
    }

    /// Returns 1 for each part that a route names, and 0 for each other one.
    private static func names(_ path: RouterPath, _ parts: [Substring]) -> [Int] {
        zip(path, parts).map { $0.description == $1 ? 1 : 0 }
    }

    private static func matches(_ path: RouterPath, _ parts: [Substring]) -> Bool {
        if path.components.last?.description == "**" {
            return parts.count >= path.count - 1 && zip(path.dropLast(), parts).allSatisfy { $0 ~= $1 }
        }
        return path.count == parts.count && zip(path, parts).allSatisfy { $0 ~= $1 }
    }
}

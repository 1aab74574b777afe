import Foundation
import HTTPTypes
import Hummingbird
import SheafSettings
import Synchronization

/// What a handler knows about its request besides the request itself.
struct ServerContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The path under which the server is reached, such as `/sheaf`, or empty.
    ///
    /// Links and redirects begin with it.
    var prefix = ""
    /// What the caller may do; nil if the request has no valid token although one is needed.
    var scope: AccessScope?
    private let caller = Caller()

    /// The most bytes that `request.decode` and ``Hummingbird/Request/json()`` read.
    static let maximumBody = 8 << 20
    var maxUploadSize: Int { Self.maximumBody }

    /// The name of the caller's token, for the log; shared by all copies of the context.
    var callerName: String? {
        get { caller.name.withLock { $0 } }
        nonmutating set { caller.name.withLock { $0 = newValue } }
    }

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
    }

    /// Returns a part of the path by its name in the route, percent-decoded.
    ///
    /// - Throws: `HTTPError` with 400 if it is not valid UTF-8.
    func parameter(_ name: String) throws -> String {
        guard let text = try parameters.require(name).removingPercentEncoding else {
            throw HTTPError(.badRequest, message: "the path is not valid percent-encoded UTF-8")
        }
        return text
    }

    /// Checks that the caller may do what the handler is about to do; the first statement of each handler that acts.
    ///
    /// ``AccessMiddleware`` checks the same by method before each handler, so that a forgotten call opens nothing.
    ///
    /// - Throws: `HTTPError` with 401 without a valid token, and with 403 if the token allows too little.
    func require(_ needed: AccessScope) throws {
        guard let scope else {
            throw HTTPError(
                .unauthorized,
                headers: [.wwwAuthenticate: #"Bearer realm="sheaf""#],
                message: "a valid bearer token is required"
            )
        }
        guard scope.includes(needed) else {
            throw HTTPError(
                .forbidden,
                headers: [.wwwAuthenticate: #"Bearer realm="sheaf", error="insufficient_scope", scope="write""#],
                message: "the token has the scope '\(scope.rawValue)'; this request needs '\(needed.rawValue)'"
            )
        }
    }
}

/// The name of a caller, which is known only within the router.
private final class Caller: Sendable {
    let name = Mutex<String?>(nil)
}

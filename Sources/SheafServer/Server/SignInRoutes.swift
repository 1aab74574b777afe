import Foundation
import HTTPTypes
import Hummingbird
import SheafCore

/// Lets a browser sign in with a token, which it then sends as a cookie.
///
/// The cookie is `SameSite=Strict` and `HttpOnly`: no foreign page can use it, and no script can read it.
struct SignInRoutes {
    let access: AccessControl
    let isSecure: Bool
    /// Makes the page that asks for the token.
    var page: @Sendable (_ next: String, _ prefix: String, _ isRefused: Bool) -> String = SignInRoutes.plainPage

    /// How long a browser keeps the cookie, in seconds: 30 days.
    private static let lifetime = 30 * 86_400
    /// The most bytes of the form.
    private static let largestForm = 16 << 10

    func register(on router: Router<ServerContext>) {
        router.get("login") { request, context in
            let next = Self.local(request.uri.queryParameters["next"].map(String.init))
            // Without tokens there is nothing to sign in for.
            if access.tokens.isEmpty { return Self.redirect(toPage: context.prefix + next) }
            return html(page(next, context.prefix, false))
        }
        router.post("login") { request, context in
            let form = Self.fields(of: try await request.bytes(upTo: Self.largestForm))
            let next = Self.local(form["next"])
            guard let token = form["token"], access.grant(for: token) != nil else {
                return html(page(next, context.prefix, true), status: .unauthorized)
            }
            return Self.redirect(toPage: context.prefix + next, cookie: cookie(token, context, for: Self.lifetime))
        }
        router.post("logout") { _, context in
            Self.redirect(toPage: context.prefix + "/login", cookie: cookie("", context, for: 0))
        }
    }

    /// Sends a browser to the page that asks for a token, and from there to where it wanted to go.
    static func redirect(to target: String, prefix: String) -> Response {
        redirect(toPage: "\(prefix)/login?next=\(PercentEncoding.encode(target))")
    }

    private static func redirect(toPage location: String, cookie: Cookie? = nil) -> Response {
        var response = Response(status: .seeOther, headers: [.location: location])
        if let cookie { response.setCookie(cookie) }
        return response
    }

    private func cookie(_ value: String, _ context: ServerContext, for seconds: Int) -> Cookie {
        Cookie(
            name: AccessControl.cookie,
            value: value,
            maxAge: seconds,
            path: context.prefix + "/",
            secure: isSecure,
            httpOnly: true,
            sameSite: .strict
        )
    }

    private func html(_ text: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status,
            headers: [.contentType: "text/html; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text))
        )
    }

    /// Returns a path of this server; anything else would lead to another site.
    private static func local(_ next: String?) -> String {
        guard let next, next.hasPrefix("/"), !next.hasPrefix("//"),
            !next.unicodeScalars.contains(where: { $0.value <= 0x20 || $0.value >= 0x7F || $0 == "\\" })
        else { return "/" }
        return next
    }

    /// Returns the fields of a form (`application/x-www-form-urlencoded`).
    private static func fields(of bytes: [UInt8]) -> [String: String] {
        var fields: [String: String] = [:]
        for pair in String(decoding: bytes, as: UTF8.self).split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            fields[String(parts[0])] = parts[1].replacing("+", with: " ").removingPercentEncoding
        }
        return fields
    }

    /// A page without style that asks for the token.
    @Sendable
    private static func plainPage(next: String, prefix: String, isRefused: Bool) -> String {
        func escaped(_ text: String) -> String {
            text.replacing("&", with: "&amp;").replacing("\"", with: "&quot;").replacing("<", with: "&lt;")
        }
        return """
            <!doctype html>
            <html lang="en">
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Sign in – Sheaf</title>
            <main>
            <h1>Sheaf</h1>
            \(isRefused ? "<p role=\"alert\">This token is not valid.</p>" : "")
            <form method="post" action="\(escaped(prefix))/login">
            <input type="hidden" name="next" value="\(escaped(next))">
            <label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label>
            <button>Sign in</button>
            </form>
            </main>
            </html>

            """
    }
}

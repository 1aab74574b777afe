import Foundation
import SheafCore
import Synchronization

/// Authenticates with a token for a service account of Google Cloud, which is renewed before it expires.
///
/// The exchange is that of <https://developers.google.com/identity/protocols/oauth2/service-account>. What proves who
/// we are is sent to the `token_uri` of the key file only.
final class GoogleAuthenticator: RequestAuthenticator {
    /// How long before its end a token is renewed at the latest.
    private static let reserve = Duration.seconds(300)
    /// How long an exchange may take.
    private static let patience = Duration.seconds(60)
    /// The most bytes of an answer.
    private static let largestAnswer = 256 << 10

    private struct Token {
        var text: String
        var renewal: ContinuousClock.Instant
    }

    private struct State {
        var token: Token?
        var exchange: Task<Token, any Error>?
        /// How far the clock of the service is ahead of ours, in seconds.
        var lead: Int64 = 0
    }

    private let path: CredentialTemplate
    private let caller = HTTPCaller(HTTPCaller.Rules(maximumBody: largestAnswer))
    private let state = Mutex(State())

    /// Prepares to authenticate.
    ///
    /// - Parameter path: The path of the account's key file.
    init(path: CredentialTemplate) { self.path = path }

    var secrets: [String] { [state.withLock { $0.token?.text }].compactMap { $0 } }

    func problem() -> String? {
        do throws(FlowError) {
            _ = try ServiceAccount(path: path.value())
            return nil
        } catch {
            return error.message
        }
    }

    func shutDown() async { await caller.shutDown() }

    func authenticated(_ call: HTTPCall, _ body: StreamedBody?) async throws -> HTTPCall {
        var call = call
        call.headers.append(("Authorization", "Bearer \(try await token())"))
        return call
    }

    /// Forgets a token that was refused, unless it has been renewed since.
    func learn(from answer: HTTPAnswer, to call: HTTPCall) async -> Bool {
        guard answer.status == 401 else { return false }
        let used = call.headers.last { $0.name == "Authorization" }?.value
        state.withLock { state in
            if let token = state.token, used == "Bearer \(token.text)" { state.token = nil }
        }
        return true
    }

    /// Returns a valid token; calls at the same time share one exchange.
    private func token() async throws -> String {
        let exchange: Task<Token, any Error> = state.withLock { state in
            if let token = state.token, token.renewal > .now { return Task { token } }
            if let exchange = state.exchange { return exchange }
            let exchange = Task { try await self.exchange() }
            state.exchange = exchange
            return exchange
        }
        return try await exchange.value.text
    }

    private func exchange() async throws -> Token {
        do {
            let token = try await request()
            state.withLock { ($0.token, $0.exchange) = (token, nil) }
            return token
        } catch {
            state.withLock { $0.exchange = nil }
            throw error
        }
    }

    private func request() async throws -> Token {
        let account = try ServiceAccount(path: path.value())
        var (answer, call, secrets) = try await send(account)
        // The service refuses an assertion if its time is minutes away from the service's own.
        if answer.status == 400, let date = answer.header("date").flatMap({ RetryAfter.date($0) }) {
            let lead = Int64(min(max(date.timeIntervalSince1970, 0), 1e10)) - Self.seconds
            if abs(lead) > 60 {
                state.withLock { $0.lead = lead }
                (answer, call, secrets) = try await send(account)
            }
        }
        let json = try? JSON.parse(answer.body)
        if let failure = Self.failure(of: answer, json, to: call, for: account, secrets) { throw failure }
        guard let json, let text = json["access_token"]?.stringValue, !text.isEmpty,
            !text.unicodeScalars.contains(where: TemplateEscape.isControl)
        else {
            throw FlowError(
                type: "unexpected-answer",
                message: "\(call.description) answered \(answer.status) without an access_token",
                isRetryable: true
            )
        }
        let validity = Duration.seconds(min(max(0, json["expires_in"]?.intValue ?? 3_600), 86_400))
        return Token(text: text, renewal: .now + validity - min(Self.reserve, validity / 5))
    }

    private static var seconds: Int64 { WallClock.milliseconds / 1_000 }

    private func send(_ account: ServiceAccount) async throws -> (HTTPAnswer, HTTPCall, Secrets) {
        let assertion = try account.assertion(at: Self.seconds + state.withLock { $0.lead })
        var call = HTTPCall(method: "POST", url: account.tokenURL)
        call.headers = [("Content-Type", "application/x-www-form-urlencoded")]
        let grant = PercentEncoding.encode("urn:ietf:params:oauth:grant-type:jwt-bearer")
        call.body = Array("grant_type=\(grant)&assertion=\(assertion)".utf8)
        call.addUserAgent()
        let request = call
        let answer = try await ModelService.withLimit(Self.patience, request) {
            try await self.caller.send(request, isTrusted: true)
        }
        return (answer, call, Secrets(["assertion": assertion]))
    }

    /// Returns the error for an answer that is no success.
    private static func failure(
        of answer: HTTPAnswer,
        _ json: JSONValue?,
        to call: HTTPCall,
        for account: ServiceAccount,
        _ secrets: Secrets
    ) -> (any Error)? {
        let reason = json?["error_description"]?.stringValue ?? json?["error"]?.stringValue
        guard let failure = HTTPFailure.of(answer, to: call, secrets: secrets, reason: reason) else { return nil }
        guard var error = failure as? FlowError, !error.isRetryable else { return failure }
        error.type = FlowError.credentialsType
        error.message = "\(account.email) gets no token: \(error.message)"
        return error
    }
}

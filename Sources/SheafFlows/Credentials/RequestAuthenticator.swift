import Foundation
import SheafCore

/// Authenticates requests in a way that depends on the request or on the time.
protocol RequestAuthenticator: Sendable {
    /// The secrets that are in use, which no message may show.
    var secrets: [String] { get }

    /// Returns a request with what authenticates it.
    ///
    /// - Parameters:
    ///   - call: The request.
    ///   - body: The body, if it is streamed.
    /// - Throws: ``FlowError`` of type `credentials` if the credentials are missing or invalid, or one that may be
    ///   retried.
    func authenticated(_ call: HTTPCall, _ body: StreamedBody?) async throws -> HTTPCall
    /// Learns from the answer to a request; returns whether the request was refused, but may succeed if it is
    /// authenticated again.
    func learn(from answer: HTTPAnswer, to call: HTTPCall) async -> Bool
    /// Returns the authenticator for another service of the same owner.
    func serving(_ service: String) -> any RequestAuthenticator
    /// Returns why the credentials cannot work on this machine; nil if no problem was found.
    func problem() -> String?
    /// Closes the connections.
    func shutDown() async
}

extension RequestAuthenticator {
    func learn(from answer: HTTPAnswer, to call: HTTPCall) async -> Bool { false }
    func serving(_ service: String) -> any RequestAuthenticator { self }
    func problem() -> String? { nil }
    func shutDown() async {}
}

/// Authenticates with a token that is ready, as `Authorization: Bearer`.
struct BearerAuthenticator: RequestAuthenticator {
    let token: CredentialTemplate

    var secrets: [String] { [try? token.value()].compactMap { $0 } }

    func authenticated(_ call: HTTPCall, _ body: StreamedBody?) throws -> HTTPCall {
        var call = call
        call.headers.append(("Authorization", "Bearer \(try token.value())"))
        return call
    }
}

/// A secret of a configuration, which may name a variable of the environment.
struct CredentialTemplate: Sendable {
    private let template: ArgumentTemplate
    private let key: String

    /// Parses the value of a key.
    init(_ text: String, _ key: String, _ variables: [String: String]) throws(FlowConfigurationProblem) {
        template = try RequestParts.template(text, .header, variables, key)
        self.key = key
    }

    /// Returns the secret.
    ///
    /// - Throws: ``FlowError`` of type `credentials` if a variable is not set.
    func value() throws(FlowError) -> String {
        do throws(TemplateError) {
            return try RequestParts.rendered(template, .withoutTask, key)
        } catch {
            throw FlowError(type: FlowError.credentialsType, message: error.description)
        }
    }
}

extension TemplateScope {
    /// The values for what belongs to no single task: there are none.
    static var withoutTask: TemplateScope {
        get throws(TemplateError) {
            let record = Record(id: "", kind: .json, bytes: Array("{}".utf8))
            return try TemplateScope(FlowTask(batch: "none", index: 0, record: record))
        }
    }
}

/// The clock of this machine.
enum WallClock {
    /// The time since 1970 in milliseconds.
    static var milliseconds: Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
}

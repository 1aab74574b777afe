/// The server in `Tests/model-server.py`, which imitates model services and their failures.
package struct ModelServer: Sendable {
    /// The API key that it accepts.
    package static let key = "sk-secret-of-the-tests"

    /// The base URL, such as `http://127.0.0.1:8080`.
    package let url: String

    /// Runs the body with a new server.
    package static func with(_ body: @escaping @Sendable (ModelServer) async throws -> Void) async throws {
        try await ServerScript.with("model-server.py") { try await body(ModelServer(url: $0)) }
    }
}

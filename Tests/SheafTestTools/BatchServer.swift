import Foundation
import FoundationNetworking
package import SheafCore

/// The server in `Tests/batch-servers`, which imitates the batch APIs of providers and their failures.
package struct BatchServer: Sendable {
    /// The API key that it accepts.
    package static let key = ModelServer.key

    /// The address, such as `http://127.0.0.1:8080`.
    package let url: String

    /// Names a server, which need not run.
    package init(url: String) { self.url = url }

    /// The base URL of its API.
    package var base: String { "\(url)/v1" }

    /// Runs the body with a new server.
    package static func with(
        _ options: JSONValue = [:],
        _ body: @escaping @Sendable (BatchServer) async throws -> Void
    ) async throws {
        try await ServerScript.with("batch-servers/serve.py") { url in
            let server = BatchServer(url: url)
            try await server.set(options)
            try await body(server)
        }
    }

    /// Changes options, which `serve.py` describes.
    package func set(_ options: JSONValue) async throws { _ = try await control("POST", options) }

    /// Returns what has happened.
    package func log() async throws -> JSONValue { try await control("GET", nil) }

    /// Returns one number of what has happened.
    package func count(_ name: String) async throws -> Int {
        guard let count = try await log()[name]?.intValue else { throw TestToolError("there is no number '\(name)'") }
        return count
    }

    private func control(_ method: String, _ body: JSONValue?) async throws -> JSONValue {
        guard let address = URL(string: "\(url)/control") else { throw TestToolError("\(url) is no URL") }
        var request = URLRequest(url: address)
        request.httpMethod = method
        request.httpBody = body.map { Data($0.bytes) }
        let (data, _) = try await URLSession.shared.data(for: request)
        return try JSON.parse(Array(data))
    }
}

import AsyncHTTPClient
import NIOCore
import Sheaf
import SheafCore
import Subprocess
import Testing

/// A server in this process, and a client that asks it for tasks and results.
struct JobBench: Sendable {
    let port: Int
    let http: HTTPClient

    /// A response, read in full.
    struct Answer: Sendable {
        let status: Int
        /// The headers and trailers, with names in lower case.
        let headers: [String: String]
        let bytes: [UInt8]

        var text: String { String(decoding: bytes, as: UTF8.self) }
        var json: JSONValue { get throws { try JSON.parse(bytes) } }
        var lines: [String] { text.split(separator: "\n").map(String.init) }
    }

    /// Runs a server on a connection for the body.
    static func with(_ client: SheafClient, _ body: @escaping @Sendable (JobBench) async throws -> Void) async throws {
        let http = HTTPClient(eventLoopGroupProvider: .singleton)
        do {
            try await ServerTestBench.with(on: client, { _ in }) { server in
                try await body(JobBench(port: server.port, http: http))
            }
        } catch {
            try await http.shutdown()
            throw error
        }
        try await http.shutdown()
    }

    /// Starts a request and returns its response once the headers are there.
    func start(_ path: String) async throws -> HTTPClientResponse {
        try await http.execute(HTTPClientRequest(url: "\(root)/\(path)"), timeout: .seconds(100))
    }

    /// Sends a GET request with curl and reads its response; an option may ask for compression or set a header.
    func get(_ path: String, _ options: String...) async throws -> Answer {
        // curl writes the trailers after the headers.
        let arguments = ["-sSg", "-D", "/dev/stderr"] + options + ["\(root)/\(path)"]
        let result = try await Subprocess.run(
            .name("curl"),
            arguments: Arguments(arguments),
            output: .bytes(limit: 64 << 20),
            error: .string(limit: 1 << 20)
        )
        let lines = result.standardError.split(whereSeparator: \.isNewline)
        let status = try #require(lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) })
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " }) }
        }
        return Answer(status: status, headers: headers, bytes: result.standardOutput)
    }

    private var root: String { "http://127.0.0.1:\(port)/api" }
}

import AsyncHTTPClient
import Logging
import NIOCore
import NIOHTTP1
import ServiceLifecycle
import Sheaf
import SheafCore
import SheafServer
import SheafTestSupport
import Testing

/// A server in this process, a client of its broker, and a client of its API.
struct APIStage: Sendable {
    let stage: Stage
    /// Another connection to the same broker.
    let client: SheafClient
    private let base: String
    private let http: HTTPClient
    private let services: ServiceGroup

    /// An answer of the API.
    struct Answer: Sendable {
        let status: Int
        let json: JSONValue
        let headers: [String: String]

        subscript(_ name: String) -> JSONValue? { json[name] }
        /// What failed, if the answer reports a problem.
        var detail: String { json["detail"]?.stringValue ?? "" }
    }

    /// Runs the body with a server on a fresh stage.
    static func with(
        _ kind: BrokerKind = .embedded,
        _ change: @escaping @Sendable (inout ServerOptions) -> Void = { _ in },
        _ body: @escaping @Sendable (APIStage) async throws -> Void
    ) async throws {
        try await Stage.with(kind) { stage in
            try await stage.client { serving in
                try await stage.client { client in
                    var options = ServerOptions()
                    options.port = 0
                    change(&options)
                    var logger = Logger(label: "server")
                    logger.logLevel = .critical
                    let (ports, listening) = AsyncStream.makeStream(of: Int.self)
                    let server = Server(client: serving, options: options, logger: logger) { listening.yield($0) }
                    let services = ServiceGroup(
                        configuration: ServiceGroupConfiguration(services: [server], logger: logger)
                    )
                    let running = Task {
                        defer { listening.finish() }
                        try await services.run()
                    }
                    defer { running.cancel() }
                    var iterator = ports.makeAsyncIterator()
                    let port = try #require(await iterator.next(), "the server does not listen")
                    var settings = HTTPClient.Configuration.singletonConfiguration
                    settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 200
                    let http = HTTPClient(configuration: settings)
                    let base = "http://127.0.0.1:\(port)/api/"
                    let api = APIStage(stage: stage, client: client, base: base, http: http, services: services)
                    do {
                        try await body(api)
                    } catch {
                        try await http.shutdown()
                        throw error
                    }
                    try await http.shutdown()
                    running.cancel()
                    _ = await running.result
                }
            }
        }
    }

    /// Tells the server to end; it then lets running requests finish.
    func drain() async { await services.triggerGracefulShutdown() }

    /// Sends a request to a path below `/api/`.
    func send(
        _ method: String,
        _ path: String,
        _ body: JSONValue? = nil,
        headers: [String: String] = [:]
    ) async throws -> Answer {
        let response = try await http.execute(request(method, path, body, headers), timeout: .seconds(60))
        let bytes = try await response.body.collect(upTo: 16 << 20)
        let json = bytes.readableBytes == 0 ? .null : try JSON.parse(Array(bytes.readableBytesView))
        let fields = response.headers.map { ($0.name.lowercased(), $0.value) }
        return Answer(
            status: Int(response.status.code),
            json: json,
            headers: Dictionary(fields) { first, _ in first }
        )
    }

    func get(_ path: String, headers: [String: String] = [:]) async throws -> Answer {
        try await send("GET", path, headers: headers)
    }

    /// Follows a stream of server-sent events until it ends or the body returns false.
    ///
    /// - Returns: The status of the response.
    @discardableResult
    func follow(
        _ path: String,
        lastEvent: String? = nil,
        _ body: (ServerSentEvent) async throws -> Bool
    ) async throws -> Int {
        let headers = lastEvent.map { ["Last-Event-ID": $0] } ?? [:]
        let response = try await http.execute(request("GET", path, nil, headers), timeout: .seconds(60))
        var text = ""
        for try await part in response.body {
            text += String(buffer: part)
            while let end = text.firstRange(of: "\n\n") {
                let event = ServerSentEvent(String(text[..<end.lowerBound]))
                text.removeSubrange(..<end.upperBound)
                if let event, try await !body(event) { return Int(response.status.code) }
            }
        }
        return Int(response.status.code)
    }

    private func request(
        _ method: String,
        _ path: String,
        _ body: JSONValue?,
        _ headers: [String: String]
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: base + path)
        request.method = .init(rawValue: method)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body.bytes))
        }
        return request
    }
}

/// A server-sent event.
struct ServerSentEvent: Sendable {
    let name: String
    let id: String
    let json: JSONValue

    /// Parses an event; returns nil for a comment and for what has no data.
    init?(_ text: String) {
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ": ", maxSplits: 1)
            if parts.count == 2 { fields[String(parts[0])] = String(parts[1]) }
        }
        guard let data = fields["data"], let json = try? JSON.parse(data) else { return nil }
        (name, id, self.json) = (fields["event"] ?? "message", fields["id"] ?? "", json)
    }

    var status: String? { json["status"]?.stringValue }
}

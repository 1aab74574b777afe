import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import SheafBatches
import SheafCore
import SheafServer
import SheafSettings
import SheafTestSupport
import Testing

/// A server in this process on a port of its own, for one test.
struct ServerTestBench: Sendable {
    let port: Int
    /// Another connection to the same broker.
    let client: SheafClient
    private let services: ServiceGroup

    /// The token with the scope `read` that ``withTokens(_:_:)`` sets.
    static let reader = "reader-0123456789"
    /// The token with the scope `write` that ``withTokens(_:_:)`` sets.
    static let writer = "writer-0123456789"

    /// Runs a server for the body, and ends it gracefully.
    ///
    /// - Throws: The error of the body, or that of the server if it ends by itself.
    static func with(
        _ change: @escaping @Sendable (inout ServerOptions) -> Void = { _ in },
        _ body: @escaping @Sendable (ServerTestBench) async throws -> Void
    ) async throws {
        try await Stage.with(.embedded) { stage in
            try await stage.client { client in try await with(on: client, change, body) }
        }
    }

    /// Runs a server that has one token for each scope.
    static func withTokens(
        _ change: @escaping @Sendable (inout ServerOptions) -> Void = { _ in },
        _ body: @escaping @Sendable (ServerTestBench) async throws -> Void
    ) async throws {
        try await with(
            { options in
                options.tokens = [
                    ServerOptions.Token(name: "reader", secret: reader, scope: .read),
                    ServerOptions.Token(name: "writer", secret: writer, scope: .write),
                ]
                change(&options)
            },
            body
        )
    }

    /// Runs a server on a connection.
    static func with(
        on client: SheafClient,
        _ change: @Sendable (inout ServerOptions) -> Void,
        _ body: @Sendable (ServerTestBench) async throws -> Void
    ) async throws {
        var options = ServerOptions()
        options.port = 0
        change(&options)
        var logger = Logger(label: "server")
        logger.logLevel = .critical
        let (ports, listening) = AsyncStream.makeStream(of: Int.self)
        let server = Server(client: client, options: options, logger: logger) { listening.yield($0) }
        let services = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    ServiceGroupConfiguration.ServiceConfiguration(
                        service: server,
                        successTerminationBehavior: .gracefullyShutdownGroup
                    )
                ],
                logger: logger
            )
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { listening.finish() }
                try await services.run()
            }
            var iterator = ports.makeAsyncIterator()
            if let port = await iterator.next() {
                try await body(ServerTestBench(port: port, client: client, services: services))
            }
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
        }
    }

    /// Returns the error with which a server with these options ends; nil if it serves.
    static func error(_ change: @escaping @Sendable (inout ServerOptions) -> Void) async throws -> ServerError? {
        do {
            try await with(change) { _ in }
            return nil
        } catch let error as ServerError {
            return error
        }
    }

    /// Tells the server to end; it then lets running requests finish.
    func drain() async { await services.triggerGracefulShutdown() }

    /// Whether the server accepts connections.
    var isListening: Bool {
        get async { (try? await connected { _ in true }) ?? false }
    }

    /// Sends a request on a connection of its own and returns the response.
    ///
    /// - Parameter headers: Further headers; `Host` replaces the address, and is left out if it is empty.
    func send(
        _ method: String,
        _ path: String,
        _ headers: [String: String] = [:],
        body: String? = nil
    ) async throws -> RawResponse {
        var head = "\(method) \(path) HTTP/1.1\r\nConnection: close\r\n"
        var fields = ["Host": "127.0.0.1:\(port)"]
        fields.merge(headers) { $1 }
        if let body { fields["Content-Length"] = String(body.utf8.count) }
        for (name, value) in fields where !value.isEmpty { head += "\(name): \(value)\r\n" }
        let text = head + "\r\n" + (body ?? "")
        return try await connected { connection in
            await connection.write(text)
            guard let response = try await connection.response(toHead: method == "HEAD") else {
                throw NoResponse(request: "\(method) \(path)")
            }
            return response
        }
    }

    /// Sends a request with a bearer token.
    func send(_ method: String, _ path: String, token: String) async throws -> RawResponse {
        try await send(method, path, ["Authorization": "Bearer \(token)"])
    }

    /// Runs the body with a connection that sends whatever it is told.
    func connected<Result: Sendable>(
        _ body: @Sendable (inout RawConnection) async throws -> Result
    ) async throws -> Result {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var connection = RawConnection(inbound: inbound.makeAsyncIterator(), outbound: outbound)
            return try await body(&connection)
        }
    }
}

/// The server closed the connection before it had sent a whole response.
struct NoResponse: Error {
    /// The method and the path of the request.
    let request: String
}

/// A connection to the server, byte by byte.
struct RawConnection {
    fileprivate var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    fileprivate let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var rest: [UInt8] = []

    fileprivate init(
        inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.inbound = inbound
        self.outbound = outbound
    }

    /// Sends text; the server may have closed the connection already.
    func write(_ text: String) async {
        try? await outbound.write(ByteBuffer(string: text))
    }

    /// Reads one response; returns nil if the server closes the connection first.
    mutating func response(toHead: Bool = false) async throws -> RawResponse? {
        while true {
            if let (response, size) = RawResponse.parse(rest, toHead: toHead) {
                rest.removeFirst(size)
                return response
            }
            guard let bytes = try? await inbound.next(isolation: #isolation) else { return nil }
            rest += Array(buffer: bytes)
        }
    }

    /// Waits until the server closes the connection; returns what it sent before.
    mutating func untilClosed() async -> String {
        while let bytes = try? await inbound.next(isolation: #isolation) { rest += Array(buffer: bytes) }
        return String(decoding: rest, as: UTF8.self)
    }
}

/// A response as it was sent.
struct RawResponse: Sendable {
    let status: Int
    /// The headers, with names in lower case.
    let headers: [String: String]
    let body: String

    var json: JSONValue { get throws { try JSON.parse(body) } }

    /// Returns the response at the start of the bytes, and its length; nil if it is incomplete.
    fileprivate static func parse(_ bytes: [UInt8], toHead: Bool) -> (RawResponse, Int)? {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        guard let first = lines.first?.split(separator: " "), first.count > 1, let status = Int(first[1]) else {
            return nil
        }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
        }
        let length = toHead || status < 200 || status == 204 ? 0 : headers["content-length"].flatMap { Int($0) } ?? 0
        let body = bytes[end.upperBound...].prefix(length)
        guard body.count == length else { return nil }
        return (
            RawResponse(status: status, headers: headers, body: String(decoding: body, as: UTF8.self)), body.endIndex
        )
    }
}

import AsyncHTTPClient
import Glibc
import NIOCore
import NIOHTTP1
import SheafCore
import SheafTestSupport
import SheafTestTools

/// Servers that run side by side; a killed server is started again on another port.
actor ServerCrew {
    /// A response that arrived in full.
    struct Response {
        let status: Int
        /// The path of `Location`.
        let location: String?
        /// Whether the request with this key was carried out before.
        let isReplayed: Bool
        let body: [UInt8]

        var json: JSONValue { get throws { try JSON.parse(body) } }
    }

    private struct Listening {
        let process: Int32
        let port: Int
    }

    private let site: Site
    private var servers: [Int: Listening] = [:]
    private var starts = 0
    private var isOver = false
    /// How many servers run.
    var living: Int { servers.count }
    /// How many servers were killed.
    private(set) var deaths = 0
    /// How many responses have arrived.
    private(set) var responses = 0
    /// Requests that were answered with 500.
    private(set) var faults: [String] = []

    init(_ site: Site) { self.site = site }

    /// Keeps `count` servers running until the body returns.
    nonisolated func serve(_ count: Int, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for place in 0..<count { group.addTask { try await self.fill(place) } }
            group.addTask {
                try await body()
                await self.end()
            }
            try await group.waitForAll()
        }
    }

    /// Kills a server; returns false if none runs.
    func kill() -> Bool {
        guard let place = servers.keys.randomElement(), let server = servers.removeValue(forKey: place) else {
            return false
        }
        deaths += 1
        return Glibc.kill(server.process, SIGKILL) == 0
    }

    /// Sends a request to any server; nil if no server has answered in full.
    nonisolated func send(
        _ method: String,
        _ path: String,
        _ headers: [(String, String)] = [],
        body: [UInt8]? = nil
    ) async throws -> Response? {
        guard let port = await port else {
            try await Task.sleep(for: .milliseconds(20))
            return nil
        }
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        request.method = .init(rawValue: method)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if let body { request.body = .bytes(body) }
        do {
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
            let bytes = Array(buffer: try await response.body.collect(upTo: 64 << 20))
            await note(method, path, response.status.code, bytes)
            return Response(
                status: Int(response.status.code),
                location: response.headers.first(name: "Location"),
                isReplayed: response.headers.contains(name: "Idempotency-Replayed"),
                body: bytes
            )
        } catch {
            try Task.checkCancellation()
            return nil  // the server was killed
        }
    }

    /// Sends a request until it is answered with one of these statuses.
    nonisolated func insist(
        _ method: String,
        _ path: String,
        _ headers: [(String, String)] = [],
        body: [UInt8]? = nil,
        on wanted: Set<Int> = [200]
    ) async throws -> Response {
        while true {
            if let response = try await send(method, path, headers, body: body) {
                if wanted.contains(response.status) { return response }
                guard [409, 503].contains(response.status) else {
                    throw TestToolError(
                        "\(method) \(path): \(response.status) \(String(decoding: response.body, as: UTF8.self))"
                    )
                }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    /// Reads the events of all batches from any server until it is killed or the task is cancelled.
    ///
    /// Returns the id of the last event.
    nonisolated func follow(after id: String?, _ each: (JSONValue) -> Void) async throws -> String? {
        guard let port = await port else {
            try await Task.sleep(for: .milliseconds(20))
            return id
        }
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/api/events")
        if let id { request.headers.add(name: "Last-Event-ID", value: id) }
        var last = id
        do {
            let response = try await HTTPClient.shared.execute(request, deadline: .distantFuture)
            var rest: [UInt8] = []
            for try await buffer in response.body {
                rest += Array(buffer: buffer)
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = String(decoding: rest[..<end], as: UTF8.self)
                    rest.removeFirst(end + 1)
                    if line.hasPrefix("id: ") { last = String(line.dropFirst(4)) }
                    if line.hasPrefix("data: ") { each(try JSON.parse(String(line.dropFirst(6)))) }
                }
            }
        } catch let error as JSONError {
            throw error
        } catch {
            try Task.checkCancellation()
        }
        return last
    }

    private var port: Int? { servers.values.randomElement()?.port }

    private func note(_ method: String, _ path: String, _ status: UInt, _ body: [UInt8]) {
        responses += 1
        if status == 500 { faults.append("\(method) \(path): \(String(decoding: body, as: UTF8.self))") }
    }

    private func fill(_ place: Int) async throws {
        while !isOver {
            starts += 1
            let log = "server-\(starts).log"
            let run = try await site.bench.shell("exec \"$SHEAF\" serve --port 0 2>\(log)", limit: .seconds(1_000)) {
                process in
                try await self.begin(place, process, log)
            }
            servers[place] = nil
            guard [0, 128 + SIGKILL].contains(run.code) else {
                throw TestToolError("a server ended with \(run.code): \(try site.bench.read(log))")
            }
        }
    }

    private func begin(_ place: Int, _ process: Int32, _ log: String) async throws {
        var port: Int?
        try await site.bench.until("a server listens") {
            port = try site.bench.lines(of: log).first { $0.hasPrefix("listening") }?.split(separator: ":").last
                .flatMap { Int($0) }
            return port != nil || Glibc.kill(process, 0) != 0
        }
        guard let port else { return }
        servers[place] = Listening(process: process, port: port)
        if isOver { end() }
    }

    private func end() {
        isOver = true
        for server in servers.values { Glibc.kill(server.process, SIGTERM) }
    }
}

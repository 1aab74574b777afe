import Dispatch
import Foundation
import Glibc
import OrderedCollections
import SheafBatches
import SheafBroker
import SheafCore
import SheafServer
import SheafSettings
import SheafTestSupport
import Testing

/// What tests of creating share.
extension ServerTestBench {
    /// Runs a server that knows the flow `echo`, and `own`, whose source is a file with three records.
    static func creating(_ body: @escaping @Sendable (ServerTestBench) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("sheaf-create-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data("{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n".utf8).write(to: folder.appendingPathComponent("own.jsonl"))
        try Data(
            """
            flows:
              own:
                echo: true
                source: own.jsonl
                tags: { team: search, kind: a }
                shuffle: false
                notify: https://flow.example/
              piped: { echo: true, source: "-" }
            """.utf8
        ).write(to: folder.appendingPathComponent("sheaf.yaml"))
        let flows = try Settings.load(environment: [:], directory: folder.path).flows.values
        let known = Array(flows)
        try await with({ $0.flows = known }, body)
    }

    /// The flows that a server has without a configuration.
    static var echo: [FlowSettings] {
        get throws { Array(try Settings.load(environment: [:], directory: "/").flows.values) }
    }

    /// Sends a request that creates a batch.
    func create(
        _ body: String,
        as type: String = "application/json",
        query: String = "",
        key: String? = nil
    ) async throws -> RawResponse {
        var headers = ["Content-Type": type]
        if let key { headers["Idempotency-Key"] = key }
        return try await send("POST", "/api/batches\(query)", headers, body: body)
    }

    /// Takes the waiting tasks of a batch from its queue, sorted by their numbers.
    func tasks(of response: RawResponse) async throws -> [BatchTask] {
        let (batch, flow) = (try response.json["batch_id"]?.stringValue, try response.json["flow"]?.stringValue)
        return try await client.tasks(of: try #require(batch), flow: try #require(flow))
    }

    /// The batches in the journal.
    func batches() async throws -> [BatchInfo] { try await client.batches().map(\.info) }
}

extension SheafClient {
    /// Takes the waiting tasks of a batch from its queue, sorted by their numbers.
    func tasks(of batch: String, flow: String = "echo", generation: Int = 0) async throws -> [BatchTask] {
        let (flow, batch) = (try #require(Name(flow)), try #require(Name(batch)))
        let queue = names.tasks(flow: flow, batch: batch, generation: generation)
        let count = try #require(try await broker.queueStatus(queue)).ready
        let consumer = try await broker.consume(queue, prefetch: 1_000)
        var tasks: [BatchTask] = []
        while tasks.count < count, let deliveries = try await consumer.next() {
            tasks += try deliveries.map { try BatchTask($0.message) }
            try await broker.settle(deliveries, as: .acknowledged)
        }
        _ = try await consumer.cancel()
        return tasks.sorted { $0.index < $1.index }
    }
}

/// Sends bytes to a port of this machine, ends its half of the connection, and returns what comes back.
func exchange(_ text: String, port: Int) async -> String {
    await withCheckedContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(returning: blockingExchange(text, port: port)) }
    }
}

private func blockingExchange(_ text: String, port: Int) -> String {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(clamping: port)).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let isConnected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
    guard isConnected else { return "not connected" }
    let bytes = Array(text.utf8)
    _ = bytes.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
    shutdown(socket, Int32(SHUT_WR))
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = recv(socket, &buffer, buffer.count, 0)
        guard count > 0 else { return String(decoding: answer, as: UTF8.self) }
        answer += buffer[..<count]
    }
}

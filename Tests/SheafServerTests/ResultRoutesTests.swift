import AsyncHTTPClient
import NIOCore
import Sheaf
import SheafBroker
import SheafCore
import SheafFormats
import SheafTestSupport
import SheafTesting
import Synchronization
import Testing

@Suite("Downloads of results") struct ResultRoutesTests {
    private static func with(
        _ body: @escaping @Sendable (SheafClient, CreatedBatch, JobBench) async throws -> Void
    ) async throws {
        try await Stage.with(.embedded) { stage in
            try await stage.client { client in
                let batch = try await client.create(plan { $0.id = "rows" }, records: records(20))
                try await JobBench.with(client) { try await body(client, batch, $0) }
            }
        }
    }

    /// What `sheaf results` writes, outcome by outcome.
    private static func expected(_ client: SheafClient, _ format: ResultFormat) async throws -> String {
        var writer = ResultWriter(format: format, batch: "rows")
        var bytes = writer.head
        for outcome in try await client.allResults("rows") { writer.write(outcome, to: &bytes) }
        return String(decoding: bytes + writer.tail, as: UTF8.self)
    }

    @Test("A download has the rows that the command writes", arguments: ResultFormat.allCases)
    func formats(format: ResultFormat) async throws {
        try await Self.with { client, batch, server in
            try await client.runByHand(batch) { $0.index % 5 == 0 ? .failed : .succeeded }
            _ = try await client.wait(for: "rows", timeout: .seconds(30))
            let answer = try await server.get("batches/rows/results?format=\(format.rawValue)")
            #expect(answer.status == 200)
            #expect(answer.text == (try await Self.expected(client, format)))
            #expect(answer.headers["content-disposition"] == "attachment; filename=\"rows.\(format.rawValue)\"")
            #expect(answer.headers["x-incomplete"] == "false" && answer.headers["x-generation"] == "0")
            #expect(answer.headers["x-last-line"] == "20")
        }
    }

    @Test("A download may have only some statuses, or the order of the indexes")
    func choices() async throws {
        try await Self.with { client, batch, server in
            try await client.runByHand(batch) { $0.index % 5 == 0 ? .failed : .succeeded }
            let failed = try await server.get("batches/rows/results?status=failed")
            #expect(failed.lines.count == 4 && failed.lines.allSatisfy { $0.contains("\"status\":\"failed\"") })
            let ordered = try await server.get("batches/rows/results?ordered=true").lines
            #expect(try ordered.map { try JSON.parse($0)["index"]?.intValue } == (0..<20).map { $0 })
        }
    }

    @Test("A download of a running batch continues after its last line")
    func resuming() async throws {
        try await Self.with { client, batch, server in
            var lines: [String] = []
            for _ in 0..<4 {
                try await client.runByHand(batch, atMost: 5)
                let answer = try await server.get("batches/rows/results?after_line=\(lines.count)&generation=0")
                lines += answer.lines
                #expect(answer.headers["x-last-line"] == "\(lines.count)")
                if lines.count < 20 { #expect(answer.headers["x-incomplete"] == "true") }
            }
            #expect(lines.joined(separator: "\n") + "\n" == (try await Self.expected(client, .jsonl)))
            let csv = try await server.get("batches/rows/results?format=csv&after_line=15")
            let table = try await Self.expected(client, .csv).split(separator: "\n")
            #expect(csv.lines == table.suffix(5).map(String.init))
        }
    }

    @Test("A download cannot continue after a retry, which changes earlier lines")
    func afterRetry() async throws {
        try await Self.with { client, batch, server in
            try await client.runByHand(batch) { $0.index == 3 ? .failed : .succeeded }
            #expect(try await server.get("batches/rows/results").lines.count == 20)
            try await client.retry("rows")
            let answer = try await server.get("batches/rows/results?after_line=20&generation=0")
            #expect(answer.status == 409)
            let again = try await server.get("batches/rows/results")
            #expect(again.lines.count == 19 && again.headers["x-generation"] == "1")
        }
    }

    @Test("A download is compressed if the client accepts gzip")
    func gzip() async throws {
        try await Self.with { client, batch, server in
            try await client.runByHand(batch)
            let plain = try await server.get("batches/rows/results")
            #expect(plain.headers["content-encoding"] == nil)
            let packed = try await server.get("batches/rows/results", "--compressed")
            #expect(packed.headers["content-encoding"] == "gzip" && packed.bytes == plain.bytes)
            #expect(packed.headers["x-last-line"] == "20")
            let refused = try await server.get("batches/rows/results", "-H", "Accept-Encoding: gzip;q=0, br")
            #expect(refused.headers["content-encoding"] == nil && refused.bytes == plain.bytes)
        }
    }

    @Test("A download of 50,000 results reads the log only as fast as the client reads the response")
    func backpressure() async throws {
        try await Stage.with(.embedded, timeout: .seconds(240)) { stage in
            try await stage.client { direct in
                let counting = CountingBroker(inner: direct.broker)
                let client = try await SheafClient(broker: counting, namespace: stage.namespace)
                // Its creator is not done, so that its total is open.
                let (source, creator) = AsyncStream.makeStream(of: Record.self)
                let creating = Task { try await client.create(plan { $0.id = "rows" }, records: source) }
                defer { creating.cancel() }
                for number in 0..<1000 { creator.yield(Record(id: "r\(number)", kind: .text, bytes: [])) }
                try await until("the batch exists") { try await client.batches().count == 1 }
                let log = client.names.results(batch: "rows")
                let end =
                    #","generation":0,"status":"succeeded","record_id":"r","output":""#
                    + String(repeating: "x", count: 1000)
                    + #"","attempts":1,"started_at":"2026-11-29T00:00:00.000Z","#
                    + #""finished_at":"2026-11-29T00:00:00.000Z","worker":"w"}"# + "\n"
                for start in stride(from: 0, to: 50_000, by: 200) {
                    let lines = (start..<start + 200).flatMap { Array(#"{"index":\#($0)"#.utf8) + Array(end.utf8) }
                    try await client.broker.append(ResultMessage.outcomes(batch: "rows", lines: lines), to: log)
                }
                let size = 50_000 * end.utf8.count
                try await JobBench.with(client) { server in
                    counting.start(log)
                    let response = try await server.start("batches/rows/results")
                    var body = response.body.makeAsyncIterator()
                    var bytes = try await body.next()?.readableBytes ?? 0
                    // The server fills the buffers of the connection and then waits for this client.
                    var before = -1
                    try await until("the server has stopped reading") {
                        defer { before = counting.bytes }
                        try await Task.sleep(for: .milliseconds(300))
                        return counting.bytes == before
                    }
                    #expect(counting.bytes < size / 2)
                    while let piece = try await body.next() { bytes += piece.readableBytes }
                    #expect(bytes > size)
                }
            }
        }
    }
}

/// A broker that counts the bytes that are read from one log.
private final class CountingBroker: BrokerWrapper {
    private struct State {
        var log: String?
        var bytes = 0
    }

    let inner: any Broker
    private let state = Mutex(State())

    init(inner: any Broker) { self.inner = inner }

    var bytes: Int { state.withLock { $0.bytes } }

    func start(_ log: String) { state.withLock { $0.log = log } }

    func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        let reader = try await inner.read(log, from: position)
        guard state.withLock({ $0.log == log }) else { return reader }
        return CountingReader(inner: reader) { count in self.state.withLock { $0.bytes += count } }
    }

    private struct CountingReader: LogReader {
        let inner: any LogReader
        let note: @Sendable (Int) -> Void

        func next() async throws -> LogChunk? {
            let chunk = try await inner.next()
            note(chunk?.entries.reduce(0) { $0 + $1.message.body.count } ?? 0)
            return chunk
        }

        func cancel() async { await inner.cancel() }
    }
}

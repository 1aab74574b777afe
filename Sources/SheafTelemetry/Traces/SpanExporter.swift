import AsyncHTTPClient
package import Logging
import NIOCore
import NIOHTTP1
import SheafBatches
import SheafCore
import Synchronization
import Tracing

/// Sends spans that have ended to a collector, by OTLP over HTTP.
///
/// Adding a span never waits. While the collector is slow or away, a bounded number of spans is kept; what does not fit
/// is dropped and counted.
package final class SpanExporter: Sendable {
    private struct State {
        var spans: [FinishedSpan] = []
        var dropped = 0
        var hasComplained = false
    }

    private static let maximumQueue = 4_096
    private static let maximumBatch = 512
    private static let interval = Duration.seconds(1)
    private static let timeout = TimeAmount.seconds(10)
    private static let attempts = 3

    private let url: String
    private let resource: SpanAttributes
    private let logger: Logger
    private let state = Mutex(State())
    private let enough = Changes()

    /// Creates an exporter.
    ///
    /// - Parameters:
    ///   - endpoint: The URL of the collector, to which `/v1/traces` is appended.
    ///   - service: The name of this service in traces.
    ///   - logger: The logger.
    package init(endpoint: String, service: String, logger: Logger) {
        url = (endpoint.hasSuffix("/") ? String(endpoint.dropLast()) : endpoint) + "/v1/traces"
        resource = ["service.name": .string(service), "service.version": .string(SheafVersion.current)]
        self.logger = logger
    }

    /// The number of spans that were lost.
    package var dropped: Int { state.withLock { $0.dropped } }

    /// Accepts a span.
    func add(_ span: FinishedSpan) {
        let isEnough = state.withLock { state in
            if state.spans.count >= Self.maximumQueue {
                state.dropped += 1
                return false
            }
            state.spans.append(span)
            return state.spans.count == Self.maximumBatch
        }
        if isEnough { enough.notify() }
    }

    /// Sends while the body runs, and what is left after it, for up to five seconds.
    package func exporting<Result>(_ body: () async throws -> Result) async throws -> Result {
        let sending = Task { await run() }
        func finish() async {
            sending.cancel()
            await sending.value
            _ = try? await within(.seconds(5)) { await self.sendAll() }
            let left = state.withLock { $0.dropped + $0.spans.count }
            if left > 0 { logger.warning("\(left) spans were not sent to \(self.url)") }
        }
        do {
            let result = try await body()
            await finish()
            return result
        } catch {
            await finish()
            throw error
        }
    }

    private func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: Self.interval)
                    self.enough.notify()
                }
            }
            for await _ in enough.stream() {
                if Task.isCancelled { break }
                await sendAll()
            }
            group.cancelAll()
        }
    }

    private func sendAll() async {
        while !Task.isCancelled {
            let spans = state.withLock { state in
                let spans = state.spans.prefix(Self.maximumBatch)
                state.spans.removeFirst(spans.count)
                return Array(spans)
            }
            if spans.isEmpty { return }
            await send(spans)
        }
    }

    private func send(_ spans: [FinishedSpan]) async {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/x-protobuf")
        request.body = .bytes(ByteBuffer(bytes: OTLPRequest.body(of: spans, resource: resource)))
        var problem = ""
        for attempt in 1...Self.attempts {
            do {
                let response = try await HTTPClient.shared.execute(request, timeout: Self.timeout)
                _ = try? await response.body.collect(upTo: 64 << 10)
                if (200..<300).contains(response.status.code) {
                    return state.withLock { $0.hasComplained = false }
                }
                problem = "it answered \(response.status.code)"
                guard [429, 502, 503, 504].contains(response.status.code) else { break }
            } catch {
                problem = "\(error)"
            }
            // The end of the command sends what was cut off.
            if Task.isCancelled { return state.withLock { $0.spans.insert(contentsOf: spans, at: 0) } }
            guard attempt < Self.attempts else { break }
            try? await Task.sleep(for: .seconds(attempt))
        }
        let isNew = state.withLock { state in
            state.dropped += spans.count
            defer { state.hasComplained = true }
            return !state.hasComplained
        }
        if isNew { logger.warning("cannot send spans to \(url), and drops them until that works: \(problem)") }
    }
}

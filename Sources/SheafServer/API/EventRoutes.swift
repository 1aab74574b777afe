import HTTPTypes
import Hummingbird
import NIOCore
import ServiceLifecycle
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The streams of server-sent events about one batch and about all.
struct EventRoutes {
    let hub: BatchEventHub

    /// After this time without an event a client gets a comment at the next wake, thus every 15 s at the latest.
    private static let quiet = Duration.seconds(10)
    /// How many batches the stream of all begins with at most: the newest that have not ended.
    private static let startSize = 500
    /// How much the clocks of two servers may differ.
    private static let clockSlack = Duration.seconds(10)

    func register(on group: RouterGroup<ServerContext>) {
        group.get("events", use: all)
        group.get("batches/:batch/events", use: one)
    }

    @Sendable
    private func one(_ request: Request, _ context: ServerContext) throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        let batch = try hub.directory.summary(of: context.parameter("batch"))
        let present = BatchEventFrame(of: batch, revision: 0)
        let last = Self.lastEvent(of: request)
        // A browser would reconnect to a stream that has ended; 204 makes it stop.
        if present.isLast, last?.digest == present.digest { return Response(status: .noContent) }
        return stream(request) { [hub] revision in
            // The event that all clients share, if the hub knows the batch already.
            let frame = hub.event(of: batch.info.id) ?? present
            let isNew = revision.map { frame.revision > $0 } ?? (frame.digest != last?.digest)
            return Piece(bytes: isNew ? frame.bytes : nil, revision: frame.revision, isLast: frame.isLast)
        }
    }

    @Sendable
    private func all(_ request: Request, _ context: ServerContext) throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        let missedSince = Self.lastEvent(of: request).map { $0.at + (.zero - Self.clockSlack) }
        return stream(request) { [hub] revision in
            let (bytes, now) =
                revision.map(hub.events) ?? hub.presentEvents(atMost: Self.startSize, orSince: missedSince)
            return Piece(bytes: bytes, revision: now, isLast: false)
        }
    }

    private static func lastEvent(of request: Request) -> BatchEventID? {
        HTTPField.Name("Last-Event-ID").flatMap { request.headers[$0] }.flatMap { BatchEventID($0) }
    }

    /// What a client gets next.
    private struct Piece {
        var bytes: ByteBuffer?
        /// Up to where the client then knows everything.
        var revision: Int
        /// Whether the stream ends after it.
        var isLast: Bool
    }

    /// Streams until the last piece, until the client leaves or the server shuts down.
    ///
    /// - Parameter next: Returns what has changed since a revision, or for nil the beginning.
    private func stream(_ request: Request, next: @escaping @Sendable (_ revision: Int?) -> Piece) -> Response {
        let body = ResponseBody { [hub] writer in
            try await request.body.consumeWithCancellationOnInboundClose { _ in
                try await withGracefulShutdownHandler {
                    let wakes = hub.join()
                    defer { hub.leave() }
                    var revision: Int?
                    var written = ContinuousClock.now
                    try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
                    for await _ in wakes {
                        let piece = next(revision)
                        revision = piece.revision
                        let isQuiet = .now - written >= Self.quiet
                        if let bytes = piece.bytes ?? (isQuiet ? ByteBuffer(string: ": quiet\n\n") : nil) {
                            try await writer.write(bytes)
                            written = .now
                        }
                        if piece.isLast { return }
                    }
                } onGracefulShutdown: {
                    hub.close()
                }
            }
            try await writer.finish(nil)
        }
        var headers: HTTPFields = [
            .contentType: "text/event-stream", .cacheControl: "no-store", .connection: "close",
        ]
        // Otherwise nginx collects events.
        if let name = HTTPField.Name("X-Accel-Buffering") { headers[name] = "no" }
        return Response(status: .ok, headers: headers, body: body)
    }
}

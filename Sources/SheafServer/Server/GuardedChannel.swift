import HummingbirdCore
import Logging
import NIOCore
import Synchronization

/// An HTTP/1.1 connection with bounds on its number and on the pace of its requests.
struct GuardedChannel: ServerChildChannel {
    typealias Value = HTTP1Channel.Value

    private let base: HTTP1Channel
    private let limits: ServerLimits
    private let count: ConnectionCount

    init(responder: @escaping HTTPChannelHandler.Responder, limits: ServerLimits, count: ConnectionCount) {
        base = HTTP1Channel(
            responder: responder,
            configuration: HTTP1Channel.Configuration(
                additionalChannelHandlers: [RequestClock(limits)],
                httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
                    maxHeaderFieldSize: limits.headerBytes,
                    maxHeaderListSize: limits.headerBytes
                )
            )
        )
        self.limits = limits
        self.count = count
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(ByteWatch())
        }.flatMap {
            base.setup(channel: channel, logger: logger)
        }
    }

    func handle(value: Value, logger: Logger) async {
        await count.counting(limit: limits.connections) { await base.handle(value: value, logger: logger) }
    }
}

/// Counts the open connections.
final class ConnectionCount: Sendable {
    private let open = Atomic(0)

    /// Whether the connection of this task is one too many.
    @TaskLocal static var isOverLimit = false

    /// Counts a connection while the body runs.
    func counting(limit: Int, _ body: () async -> Void) async {
        let number = open.add(1, ordering: .relaxed).newValue
        defer { open.subtract(1, ordering: .relaxed) }
        await Self.$isOverLimit.withValue(number > limit, operation: body)
    }
}

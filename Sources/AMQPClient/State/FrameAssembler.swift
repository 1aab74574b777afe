/// Assembles a content from its frames: the method, the header and any number of body frames.
struct FrameAssembler {
    private enum State {
        case idle
        case announced(ContentAnnouncement)
        case collecting(Content, missing: UInt64)
    }

    /// The maximum memory reserved for a body before its bytes arrive, whatever size its header declares.
    private static let largestReservation: UInt64 = 16 << 20

    /// The number of bytes after which the rest of a body is dropped, so that a message cannot exhaust the memory.
    ///
    /// It is twice the largest body that Sheaf publishes, so a receiver can tell that such a body is too large.
    static let largestBody = 32 << 20

    private var state = State.idle

    /// Whether no content is being assembled.
    var isIdle: Bool { if case .idle = state { true } else { false } }

    mutating func begin(_ announcement: ContentAnnouncement) throws(AMQPError) {
        guard isIdle else { throw Self.violation("a method in the middle of a content") }
        state = .announced(announcement)
    }

    /// Processes the header; returns the content if it has no body.
    mutating func header(bodySize: UInt64, properties: AMQPProperties) throws(AMQPError) -> Content? {
        guard case .announced(let announcement) = state else {
            throw Self.violation("a content header without a method")
        }
        var content = Content(announcement: announcement, properties: properties, body: [])
        guard bodySize > 0 else {
            state = .idle
            return content
        }
        content.body.reserveCapacity(Int(min(bodySize, Self.largestReservation)))
        state = .collecting(content, missing: bodySize)
        return nil
    }

    /// Processes a part of the body; returns the content if it is complete.
    mutating func body(_ bytes: UnsafeRawBufferPointer) throws(AMQPError) -> Content? {
        guard case .collecting(var content, let missing) = state else {
            throw Self.violation("a body frame without a header")
        }
        guard bytes.count <= missing else { throw Self.violation("a body longer than its header declares") }
        state = .idle
        content.body.append(contentsOf: bytes.prefix(Self.largestBody - content.body.count))
        let rest = missing - UInt64(bytes.count)
        guard rest > 0 else { return content }
        state = .collecting(content, missing: rest)
        return nil
    }

    private static func violation(_ what: String) -> AMQPError {
        AMQPError(.protocolViolation, "the broker sent \(what)")
    }
}

/// The method that announces a content, to which the following header and body frames belong.
enum ContentAnnouncement: Equatable {
    case deliver(Envelope)
    case fetched(Envelope)
    case returned(ReturnedMessage)
}

/// The arguments of a delivery, sent before its content.
struct Envelope: Equatable {
    var consumerTag = ""
    var deliveryTag: UInt64
    var isRedelivered: Bool
    var exchange: String
    var routingKey: String
}

/// The arguments of `basic.return` for a message that could not be routed to a queue.
struct ReturnedMessage: Equatable {
    var replyCode: UInt16
    var replyText: String
    var exchange: String
    var routingKey: String
}

/// A complete content.
struct Content: Equatable {
    var announcement: ContentAnnouncement
    var properties: AMQPProperties
    var body: [UInt8]
}

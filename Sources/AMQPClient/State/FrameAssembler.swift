/// Puts the frames of a content together: the method, the header, and the body in as many frames as it takes.
struct FrameAssembler {
    private enum State {
        case idle
        case announced(ContentAnnouncement)
        case collecting(Content, missing: UInt64)
    }

    /// Memory is reserved up to this size; what a header claims beyond that must arrive first.
    private static let largestReservation: UInt64 = 16 << 20

    /// What comes behind so many bytes of a body is dropped as it comes, so that nobody's message fills the memory.
    ///
    /// It is twice what Sheaf publishes at most, so whoever gets such a body sees that it is too large.
    static let largestBody = 32 << 20

    private var state = State.idle

    /// Whether no content is under way.
    var isIdle: Bool { if case .idle = self.state { true } else { false } }

    mutating func begin(_ announcement: ContentAnnouncement) throws(AMQPError) {
        guard self.isIdle else { throw Self.violation("a method in the middle of a content") }
        self.state = .announced(announcement)
    }

    /// Takes the header; returns the content if it has no body.
    mutating func header(bodySize: UInt64, properties: AMQPProperties) throws(AMQPError) -> Content? {
        guard case .announced(let announcement) = self.state else {
            throw Self.violation("a content header without a method")
        }
        var content = Content(announcement: announcement, properties: properties, body: [])
        guard bodySize > 0 else {
            self.state = .idle
            return content
        }
        content.body.reserveCapacity(Int(min(bodySize, Self.largestReservation)))
        self.state = .collecting(content, missing: bodySize)
        return nil
    }

    /// Takes a part of the body; returns the content if that was the last.
    mutating func body(_ bytes: UnsafeRawBufferPointer) throws(AMQPError) -> Content? {
        guard case .collecting(var content, let missing) = self.state else {
            throw Self.violation("a body frame without a header")
        }
        guard bytes.count <= missing else { throw Self.violation("a body longer than its header says") }
        self.state = .idle
        content.body.append(contentsOf: bytes.prefix(Self.largestBody - content.body.count))
        let rest = missing - UInt64(bytes.count)
        guard rest > 0 else { return content }
        self.state = .collecting(content, missing: rest)
        return nil
    }

    private static func violation(_ what: String) -> AMQPError {
        AMQPError(.protocolViolation, "the broker sent \(what)")
    }
}

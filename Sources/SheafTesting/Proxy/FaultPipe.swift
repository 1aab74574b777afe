import Glibc

/// One way through a connection of a ``FaultProxy``: what was read and not handed on yet.
struct FaultPipe {
    /// Why the connection has to end.
    enum End: Error {
        /// One side is gone.
        case broken
        /// So many bytes have gone as were to go.
        case cut
    }

    private static let mostPending = 256 << 10

    private let source: Int32
    private let target: Int32
    private let direction: FaultMode.Direction
    private var chunks: [(due: ContinuousClock.Instant, bytes: ArraySlice<UInt8>)] = []
    private var pending = 0
    private var forwarded = 0
    private var nextByte = ContinuousClock.now
    private var sourceHasEnded = false
    private var targetWasTold = false
    /// Whether bytes or the end of this way were dropped, so that nothing that follows makes sense.
    private(set) var hasHole = false

    init(from source: Int32, to target: Int32, _ direction: FaultMode.Direction) {
        self.source = source
        self.target = target
        self.direction = direction
    }

    /// Whether all has been handed on, the end included.
    var isOver: Bool { targetWasTold }

    /// Begins to count anew.
    mutating func modeChanged() { forwarded = 0 }

    /// Whether to look for more to read.
    func wantsToRead(_ mode: FaultMode) -> Bool {
        mode != .halt && !sourceHasEnded && pending < Self.mostPending
    }

    /// When there will be something to write, or nil where there is nothing to write.
    func nextWrite(_ mode: FaultMode) -> ContinuousClock.Instant? {
        guard mode != .halt, !mode.swallows(direction), let first = chunks.first else { return nil }
        guard case .trickle = mode else { return first.due }
        return max(first.due, nextByte)
    }

    /// Reads what has arrived.
    mutating func read(_ mode: FaultMode, _ buffer: UnsafeMutableRawBufferPointer) throws(End) {
        let count = recv(source, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        if count > 0 {
            guard !mode.swallows(direction) else {
                hasHole = true
                return
            }
            let bytes = buffer.prefix(count)
            chunks.append((.now + mode.latency, ArraySlice(bytes)))
            pending += count
        } else if count == 0 {
            sourceHasEnded = true
            hasHole = hasHole || mode.swallows(direction)
        } else if errno != EAGAIN && errno != EINTR {
            guard case .swallow = mode else { throw .broken }
            sourceHasEnded = true
            hasHole = true
        }
    }

    /// Hands on what is due, and the end after all of it.
    mutating func write(_ mode: FaultMode, _ now: ContinuousClock.Instant) throws(End) {
        while let due = nextWrite(mode), due <= now, let first = chunks.first {
            var part = first.bytes
            if case .trickle = mode { part = part.prefix(1) }
            if let limit = mode.limit(direction) { part = part.prefix(max(0, limit - forwarded)) }
            let sent = part.withUnsafeBytes {
                send(target, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            guard sent >= 0 else {
                if errno == EAGAIN || errno == EINTR { return }
                throw .broken
            }
            forwarded += sent
            pending -= sent
            chunks[0].bytes = first.bytes.dropFirst(sent)
            if chunks[0].bytes.isEmpty { chunks.removeFirst() }
            if case .trickle(let pause) = mode { nextByte = now + pause }
            if let limit = mode.limit(direction), forwarded >= limit { throw .cut }
        }
        guard sourceHasEnded, chunks.isEmpty, !targetWasTold, !hasHole, mode != .halt else { return }
        targetWasTold = true
        shutdown(target, Int32(SHUT_WR))
    }
}

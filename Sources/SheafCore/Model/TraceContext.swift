/// The place of an operation in a distributed trace, as W3C Trace Context defines it.
///
/// Format: https://www.w3.org/TR/trace-context/
public struct TraceContext: Sendable, Hashable {
    /// The trace: 16 bytes that are not all zero.
    package let trace: (high: UInt64, low: UInt64)
    /// The span that is the parent of what follows, not zero.
    package let span: UInt64
    /// The flags; the lowest bit says that the trace is recorded.
    package let flags: UInt8
    /// The `tracestate`, which only the systems that wrote it understand, or nil.
    public let traceState: String?

    /// The longest `tracestate` that is passed on, in bytes.
    private static let longestState = 512
    private static let sampled: UInt8 = 1

    /// Creates a context.
    package init(trace: (high: UInt64, low: UInt64), span: UInt64, isSampled: Bool, traceState: String? = nil) {
        self.trace = trace
        self.span = span
        self.flags = isSampled ? Self.sampled : 0
        self.traceState = traceState
    }

    /// Parses the values of the headers; returns nil if `traceparent` is invalid, and ignores an invalid `tracestate`.
    public init?(traceParent: String, traceState: String? = nil) {
        let parts = traceParent.split(separator: "-", maxSplits: 4, omittingEmptySubsequences: false)
        // Later versions may add members; the first four stay.
        guard parts.count >= 4, let version = Self.number(parts[0], digits: 2), version != 0xff,
            version > 0 || parts.count == 4,
            parts[1].utf8.count == 32, let high = Self.number(parts[1].prefix(16), digits: 16),
            let low = Self.number(parts[1].suffix(16), digits: 16), high != 0 || low != 0,
            let span = Self.number(parts[2], digits: 16), span != 0,
            let flags = Self.number(parts[3], digits: 2)
        else { return nil }
        self.trace = (high, low)
        self.span = span
        self.flags = UInt8(truncatingIfNeeded: flags)
        let isValid = traceState.map { state in
            (1...Self.longestState).contains(state.utf8.count) && state.utf8.allSatisfy { (0x20...0x7e).contains($0) }
        }
        self.traceState = isValid == true ? traceState : nil
    }

    /// Whether the trace is recorded.
    public var isSampled: Bool { flags & Self.sampled != 0 }

    /// The value of the header `traceparent`.
    public var traceParent: String {
        "00-\(traceID)-\(Self.hex(span, digits: 16))-\(Self.hex(UInt64(flags), digits: 2))"
    }

    /// The id of the trace, in 32 hexadecimal digits.
    public var traceID: String { Self.hex(trace.high, digits: 16) + Self.hex(trace.low, digits: 16) }

    /// Whether two contexts are the same place.
    public static func == (left: TraceContext, right: TraceContext) -> Bool {
        left.trace == right.trace && left.span == right.span && left.flags == right.flags
            && left.traceState == right.traceState
    }

    /// Feeds the place into a hasher.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(trace.high)
        hasher.combine(trace.low)
        hasher.combine(span)
    }

    /// Parses lower-case hexadecimal digits, exactly so many.
    private static func number(_ text: Substring, digits: Int) -> UInt64? {
        guard text.utf8.count == digits,
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        return UInt64(text, radix: 16)
    }

    private static func hex(_ number: UInt64, digits: Int) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: digits - text.utf8.count) + text
    }
}

extension TraceContext {
    /// The name of the header with the ids and the flags.
    package static let parentHeader = "traceparent"
    /// The name of the header with what other systems add.
    package static let stateHeader = "tracestate"

    /// The names and values of the headers, for messages and requests.
    package var headers: [(name: String, value: String)] {
        var headers = [(name: Self.parentHeader, value: traceParent)]
        if let traceState { headers.append((Self.stateHeader, traceState)) }
        return headers
    }

    /// Reads the context that a program was started with.
    package init?(environment: [String: String]) {
        guard let parent = environment["TRACEPARENT"] else { return nil }
        self.init(traceParent: parent, traceState: environment["TRACESTATE"])
    }
}

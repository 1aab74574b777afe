/// The last bytes of an output, however long it is.
struct TailBytes: Sendable {
    private var kept: [UInt8] = []
    private let limit: Int
    private(set) var isCut = false

    init(limit: Int) {
        self.limit = limit
    }

    /// The last bytes, at most as many as the limit.
    var bytes: [UInt8] { Array(kept.suffix(limit)) }

    mutating func append(_ chunk: ArraySlice<UInt8>) {
        kept.append(contentsOf: chunk.suffix(limit))
        if kept.count > limit || chunk.count > limit { isCut = true }
        // Cutting only now and then keeps a flood of short lines cheap.
        if kept.count > 4 * limit { kept.removeFirst(kept.count - limit) }
    }
}

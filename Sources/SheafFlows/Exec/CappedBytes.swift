/// The first bytes of an output, up to a limit.
struct CappedBytes: Sendable {
    private(set) var bytes: [UInt8] = []
    private let limit: Int

    init(limit: Int) {
        self.limit = limit
    }

    /// Keeps what fits; false when there was more.
    mutating func append(_ chunk: ArraySlice<UInt8>) -> Bool {
        let room = limit - bytes.count
        bytes.append(contentsOf: chunk.prefix(room))
        return chunk.count <= room
    }
}

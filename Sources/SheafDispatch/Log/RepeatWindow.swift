import SheafCore
import SheafSources

/// The newest requests, by which repeats are recognized: 100,000 of them, about 7 MB.
struct RepeatWindow {
    /// The number of requests that are remembered.
    static let standardSize = 100_000

    enum Finding {
        case new
        /// The same request again.
        case same
        /// Another request with the same id.
        case other
    }

    private let size: Int
    private var ring: [RecordIDSet.Digest] = []
    private var next = 0
    private var contents: [RecordIDSet.Digest: Int] = [:]

    init(size: Int = standardSize) { self.size = size }

    mutating func note(_ request: Record) -> Finding {
        let id = RecordIDSet.Digest(request.id)
        var hasher = Hasher()
        hasher.combine(request.kind)
        request.bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        let content = hasher.finalize()
        if let known = contents[id] { return known == content ? .same : .other }
        if ring.count < size {
            ring.append(id)
        } else {
            contents[ring[next]] = nil
            ring[next] = id
            next = (next + 1) % size
        }
        contents[id] = content
        return .new
    }
}

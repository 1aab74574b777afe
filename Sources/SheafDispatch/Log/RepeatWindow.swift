import SheafCore
import SheafSources

/// The newest requests, by which repeats are recognized: 100,000 of them, about 10 MB.
struct RepeatWindow {
    /// The number of requests that are remembered.
    static let standardSize = 100_000

    /// A remembered request.
    struct Entry {
        fileprivate let content: Int
        /// Its place in the logs, and the value of its key.
        let position: RequestPosition
        let key: String?
    }

    private let size: Int
    private var ring: [RecordIDSet.Digest] = []
    private var next = 0
    private var entries: [RecordIDSet.Digest: Entry] = [:]

    init(size: Int = standardSize) { self.size = size }

    /// Whether earlier requests may be forgotten.
    var isFull: Bool { ring.count >= size }

    /// Remembers a request unless one with its id is known; returns whether it is.
    mutating func note(
        _ request: Record,
        at position: RequestPosition = RequestPosition(log: 0, offset: 0),
        key: String? = nil
    ) -> RequestRepeat {
        let id = RecordIDSet.Digest(request.id)
        let content = Self.content(of: request)
        if let known = entries[id] { return known.content == content ? .same : .other }
        if ring.count < size {
            ring.append(id)
        } else {
            entries[ring[next]] = nil
            ring[next] = id
            next = (next + 1) % size
        }
        entries[id] = Entry(content: content, position: position, key: key)
        return .new
    }

    /// Returns whether a request with its id is known.
    func finding(for request: Record) -> RequestRepeat {
        guard let known = self[request.id] else { return .new }
        return known.content == Self.content(of: request) ? .same : .other
    }

    /// The remembered request with an id.
    subscript(_ id: String) -> Entry? { entries[RecordIDSet.Digest(id)] }

    private static func content(of request: Record) -> Int {
        var hasher = Hasher()
        hasher.combine(request.kind)
        request.bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }
}

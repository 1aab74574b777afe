import SheafCore

/// A digest of items in the order they come, to tell later whether a stream begins as it did.
///
/// Not for secrets: it finds what was mixed up, not what was forged.
public struct ItemDigest: Sendable {
    private var hasher = ContentHasher()

    /// Makes the digest of nothing.
    public init() {}

    /// Takes in an item: its id and its bytes, or what is wrong with it.
    public mutating func add(_ item: SourceItem) {
        switch item.content {
        case .record(let record):
            add(Array(record.id.utf8))
            add(record.bytes)
        case .invalid(let message):
            add(Array(item.place.utf8))
            add(Array(message.utf8))
        }
    }

    private mutating func add(_ bytes: [UInt8]) {
        hasher.update(bytes.count)
        hasher.update(bytes)
    }

    /// The digest so far: 16 hexadecimal digits.
    public var text: String { InputFingerprint.text(hasher.digest) }
}

/// Turns the number of a queue or log and a place within it into a key and back.
///
/// 23 bits for the queue or log and 40 for the place: 8 million of them in the life of a file, with a trillion places
/// each.
enum Place {
    /// How many bits the place has.
    static let bits: Int64 = 40

    /// The key of a place.
    static func key(_ owner: Int64, _ place: Int64) -> Int64 { owner << bits | place }

    /// The place of a key.
    static func place(of key: Int64) -> Int64 { key & (1 << bits - 1) }

    /// The queue or log of a key.
    static func owner(of key: Int64) -> Int64 { key >> bits }

    /// The first key of a queue or log.
    static func first(_ owner: Int64) -> Int64 { key(owner, 0) }

    /// The last key of a queue or log.
    static func last(_ owner: Int64) -> Int64 { key(owner, 1 << bits - 1) }

    /// The largest place there can be.
    static let largest: Int64 = 1 << bits - 1
}

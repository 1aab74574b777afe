import SheafSources

/// The ids of the records of twins, in temporary files, so that memory does not grow with their length.
struct TwinIDs {
    private var files: (text: TemporaryFile, places: TemporaryFile)?
    private var unwritten: [UInt8] = []

    /// How many bytes of ids are written at once.
    private static let bufferSize = 64 << 10
    /// The lower bits of a place are a length, the others an offset.
    private static let lengthBits = 16

    /// Adds the id of a task's record; an id of more than 64 KiB is cut.
    mutating func add(_ id: String, of index: Int) throws {
        let files = try files ?? (TemporaryFile(in: nil), TemporaryFile(in: nil))
        self.files = files
        let bytes = Array(id.utf8.prefix(1 << Self.lengthBits - 1))
        let offset = files.text.size + unwritten.count
        unwritten += bytes
        if unwritten.count >= Self.bufferSize {
            try unwritten.withUnsafeBytes { try files.text.append($0) }
            unwritten.removeAll(keepingCapacity: true)
        }
        // Plus 1, because 0 stands for no id.
        let place = [UInt64(offset << Self.lengthBits | bytes.count) + 1]
        try place.withUnsafeBytes { try files.places.write($0, at: index * 8) }
    }

    /// The id of a task's record, or nil if it was not added.
    func id(of index: Int) throws -> String? {
        guard let files else { return nil }
        var place: [UInt64] = [0]
        _ = try place.withUnsafeMutableBytes { try files.places.read(into: $0, at: index * 8) }
        guard place[0] > 0 else { return nil }
        let (offset, length) = (Int(place[0] - 1) >> Self.lengthBits, Int(place[0] - 1) & (1 << Self.lengthBits - 1))
        if offset >= files.text.size {
            let start = offset - files.text.size
            return String(decoding: unwritten[start..<start + length], as: UTF8.self)
        }
        var bytes = [UInt8](repeating: 0, count: length)
        _ = try bytes.withUnsafeMutableBytes { try files.text.read(into: $0, at: offset) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

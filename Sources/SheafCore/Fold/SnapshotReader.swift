/// Reads what ``SnapshotWriter`` has written; after the first thing that can not be, everything is 0 or empty.
struct SnapshotReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    private var isBroken = false

    /// Begins to read; nil where the checksum does not fit.
    init?(_ snapshot: [UInt8]) {
        guard snapshot.count >= 8 else { return nil }
        bytes = snapshot.dropLast(8)
        let sum = snapshot.suffix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard Checksum.of(bytes) == sum else { return nil }
        position = 0
    }

    /// Whether everything was as it should be, and nothing is left.
    var isWhole: Bool { !isBroken && position == bytes.endIndex }

    mutating func byte() -> UInt8 {
        guard !isBroken, position < bytes.endIndex else {
            isBroken = true
            return 0
        }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func number(below limit: Int) -> Int {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 63, by: 7) {
            let byte = byte()
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 {
                if value < UInt64(limit) { return Int(value) }
                break
            }
        }
        isBroken = true
        return 0
    }

    mutating func index() -> Int { number(below: BatchState.maximumTasks) }

    mutating func text() -> String {
        let count = number(below: bytes.endIndex - position + 1)
        guard !isBroken, count <= bytes.endIndex - position else {
            isBroken = true
            return ""
        }
        defer { position += count }
        return String(decoding: bytes[position..<position + count], as: UTF8.self)
    }

    mutating func list(_ read: (inout SnapshotReader) -> Void) {
        let count = number(below: BatchState.maximumTasks)
        for _ in 0..<count where !isBroken { read(&self) }
    }

    mutating func usage() -> Usage {
        var usage = Usage()
        list { reader in
            let name = reader.text()
            usage.add(reader.number(below: Usage.maximumAmount + 1), to: name)
        }
        return usage
    }

    mutating func runs(_ read: (Range<Int>, Int) -> Void) {
        var start = 0
        while !isBroken {
            let run = number(below: BatchState.maximumTasks << 2 | 4)
            let count = run >> 2
            if count == 0 { return }
            guard start + count <= BatchState.maximumTasks else {
                isBroken = true
                return
            }
            read(start..<start + count, run & 3)
            start += count
        }
    }
}

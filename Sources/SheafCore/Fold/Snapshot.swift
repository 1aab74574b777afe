/// Writes a snapshot: integers with seven bits per byte, least significant first (LEB128), followed by a checksum.
struct SnapshotWriter {
    private var bytes: [UInt8] = []

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func number(_ value: Int) {
        var rest = UInt64(max(0, value))
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func numbers(_ first: Int, _ second: Int) {
        number(first)
        number(second)
    }

    mutating func text(_ text: String) {
        number(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }

    mutating func list<Element>(_ elements: [Element], _ write: (inout SnapshotWriter, Element) -> Void) {
        number(elements.count)
        for element in elements { write(&self, element) }
    }

    mutating func usage(_ usage: Usage) {
        list(usage.sorted) { writer, entry in
            writer.text(entry.name)
            writer.number(entry.amount)
        }
    }

    /// Writes the two-bit state of each index below `end` as runs of equal states; an empty run marks the end.
    mutating func runs(upTo end: Int, _ state: (Int) -> Int) {
        var start = 0
        while start < end {
            let value = state(start)
            var next = start + 1
            while next < end, state(next) == value { next += 1 }
            number((next - start) << 2 | value)
            start = next
        }
        number(0)
    }

    /// The written bytes, followed by their checksum.
    var finished: [UInt8] {
        let sum = Checksum.of(bytes[...])
        return bytes + (0..<8).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) }
    }
}

/// The 64-bit FNV-1a checksum (Fowler, Noll, Vo); detects a truncated or damaged snapshot, but not a forged one.
private enum Checksum {
    static func of(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}

/// Reads the output of ``SnapshotWriter``; after the first invalid value, all further values are 0 or empty.
struct SnapshotReader {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    private var isBroken = false

    /// Starts reading; returns nil if the checksum does not match.
    init?(_ snapshot: [UInt8]) {
        guard snapshot.count >= 8 else { return nil }
        bytes = snapshot.dropLast(8)
        let sum = snapshot.suffix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard Checksum.of(bytes) == sum else { return nil }
        position = 0
    }

    /// Whether all values were valid and no bytes are left.
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

    mutating func time() -> Timestamp {
        if let time = Timestamp(text()) { return time }
        fail()
        return Timestamp(milliseconds: 0)
    }

    /// Makes all further values 0 or empty, because the last one was invalid.
    mutating func fail() { isBroken = true }

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

/// Writes the bytes of a snapshot: whole numbers in seven bits a byte, least first (as LEB128 does), and a checksum.
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

    /// Writes what stands at each index below `end`, two bits, as runs of the same; a run of no length ends them.
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

    /// All that was written, and its checksum.
    var finished: [UInt8] {
        let sum = Checksum.of(bytes[...])
        return bytes + (0..<8).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) }
    }
}

/// The checksum FNV-1a with 64 bits (Fowler, Noll, Vo): tells a torn snapshot from a whole one, and no more than that.
enum Checksum {
    static func of(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}

/// A fast 64-bit digest of bytes that arrive in pieces; not cryptographically secure.
///
/// The result does not depend on how the bytes are divided into pieces.
struct ContentHasher {
    private var state: UInt64 = 0x5368_6561_6653_7263
    private var pending: UInt64 = 0
    private var length = 0

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var position = 0
        while position < bytes.count, length & 7 != 0 {
            add(bytes[position])
            position += 1
        }
        while position + 8 <= bytes.count {
            absorb(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
            length += 8
            position += 8
        }
        while position < bytes.count {
            add(bytes[position])
            position += 1
        }
    }

    mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { update($0) }
    }

    mutating func update(_ value: Int) {
        withUnsafeBytes(of: UInt64(bitPattern: Int64(value)).littleEndian) { update($0) }
    }

    var digest: UInt64 {
        SplitMix64.mix(SplitMix64.mix(state ^ pending) ^ UInt64(length))
    }

    private mutating func add(_ byte: UInt8) {
        pending |= UInt64(byte) << UInt64(8 * (length & 7))
        length += 1
        if length & 7 == 0 {
            absorb(pending)
            pending = 0
        }
    }

    private mutating func absorb(_ word: UInt64) {
        state = (state ^ word) &* 0x9E37_79B9_7F4A_7C15
        state ^= state >> 29
    }
}

/// Mutates inputs like a fuzzer, but reproducibly for a seed.
struct Mutator {
    private var state: UInt64
    /// Byte sequences that decoders treat specially.
    private static let words: [[UInt8]] =
        [
            "{", "}", "[", "]", "\"", "\\u00", ",", ":", "\n", "\r\n", "\0", "{{", "}}", "null", "-1", "1e9",
            "9223372036854775807", "é", "\u{FEFF}",
        ].map { Array($0.utf8) } + [[0xFF], [0x80], [0xC2], [0xFF, 0xFF, 0xFF, 0xFF], [0, 0, 0, 0]]

    init(seed: UInt64) { state = seed }

    /// Returns one of the inputs with one to six mutations.
    mutating func mutation(of inputs: [[UInt8]]) -> [UInt8] {
        var bytes = inputs[below(inputs.count)]
        for _ in 0...below(6) { change(&bytes, with: inputs) }
        return bytes
    }

    private mutating func change(_ bytes: inout [UInt8], with inputs: [[UInt8]]) {
        let place = below(bytes.count + 1)
        switch below(7) {
        case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8(below(8))
        case 1 where place < bytes.count: bytes[place] = UInt8(below(256))
        case 2 where place < bytes.count: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(8)))
        case 3: bytes.removeLast(bytes.count - place)
        case 4:
            let part = bytes[place..<min(bytes.count, place + 1 + below(32))]
            bytes.insert(contentsOf: Array(part), at: below(bytes.count + 1))
        case 5:
            let other = inputs[below(inputs.count)]
            bytes = Array(bytes[..<place]) + other.dropFirst(below(other.count + 1))
        default: bytes.insert(contentsOf: Self.words[below(Self.words.count)], at: place)
        }
    }

    /// Returns a number in `0..<bound`.
    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33).multipliedFullWidth(by: UInt64(bound) << 33).high)
    }
}

/// The part of an input that is held in memory: the current record and the bytes read after it.
///
/// Its size is limited by the maximum size of a record plus two reads, however long the lines of the input are.
final class ByteWindow {
    private let input: any ByteInput
    private let options: ReadingOptions
    private var storage: UnsafeMutableRawBufferPointer
    private var filled = 0
    /// The offset in the input of the first byte held.
    private(set) var start = 0
    private(set) var isAtEnd = false
    /// Whether to wait for a stream that has no data yet, or to throw ``WouldWait``.
    var waits = true
    /// The digest of all bytes read, if requested.
    var hasher: ContentHasher?

    init(_ input: any ByteInput, options: ReadingOptions, hasher: ContentHasher? = nil) {
        self.input = input
        self.options = options
        self.hasher = hasher
        self.storage = .allocate(byteCount: options.readSize, alignment: 16)
    }

    deinit { storage.deallocate() }

    /// The size of the buffer, in bytes.
    var capacity: Int { storage.count }
    /// The maximum size of a record that is held completely.
    var recordLimit: Int { options.recordLimit }

    /// Returns the held bytes from an offset on; they are valid until the next call of ``more(from:scanned:)``.
    func bytes(from offset: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: storage[min(max(offset - start, 0), filled)..<filled])
    }

    func holds(_ range: Range<Int>) -> Bool { range.lowerBound >= start && range.upperBound <= start + filled }

    func copy(_ range: Range<Int>) -> [UInt8] {
        Array(storage[range.lowerBound - start..<range.upperBound - start])
    }

    /// The byte at an offset, or nil if it is not held.
    subscript(_ offset: Int) -> UInt8? {
        offset >= start && offset < start + filled ? storage[offset - start] : nil
    }

    /// Reads more bytes; returns false at the end.
    ///
    /// Keeps the bytes from `record` on. If the record exceeds the limit (including its line ending) and its end is not
    /// found yet, its beginning is discarded.
    func more(from record: Int, scanned: Int) throws -> Bool {
        if isAtEnd { return false }
        let isTooLarge = scanned - record > options.recordLimit + 2
        // A record whose beginning was discarded cannot be scanned again, so its end has to be waited for.
        if !waits, !isTooLarge, !input.isReady(at: start + filled) { throw WouldWait() }
        try Task.checkCancellation()
        // The last byte is kept, because a carriage return there does not count towards the record's size.
        discard(upTo: isTooLarge ? scanned - 1 : record)
        let room = UnsafeMutableRawBufferPointer(rebasing: storage[filled..<filled + options.readSize])
        let count = try input.read(into: room, at: start + filled)
        hasher?.update(UnsafeRawBufferPointer(rebasing: room[..<count]))
        filled += count
        isAtEnd = count == 0
        return !isAtEnd
    }

    /// Discards the bytes before an offset and makes room for one read.
    private func discard(upTo offset: Int) {
        let dropped = max(offset - start, 0)
        let kept = filled - dropped
        if filled + options.readSize <= storage.count, dropped < kept { return }
        let target: UnsafeMutableRawBufferPointer
        if kept + options.readSize > storage.count {
            let largest = options.recordLimit + 2 + 2 * options.readSize
            let wanted = max(kept + options.readSize, min(storage.count * 2, largest))
            target = .allocate(byteCount: wanted, alignment: 16)
        } else {
            target = storage
        }
        let source = UnsafeRawBufferPointer(rebasing: storage[dropped..<filled])
        target.copyMemory(from: source)
        if target.baseAddress != storage.baseAddress {
            storage.deallocate()
            storage = target
        }
        start += dropped
        filled = kept
    }
}

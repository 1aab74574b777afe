import CRabbitMQ

/// Memory for the arguments of one call into the library, given back all at once.
///
/// Pointers into it are valid until `reset`.
final class ByteArena {
    private static let blockSize = 16_384

    private var blocks: [UnsafeMutableRawBufferPointer] = []
    private var used = 0

    init() { self.blocks = [Self.makeBlock(Self.blockSize)] }

    deinit { for block in self.blocks { block.deallocate() } }

    /// Forgets everything; keeps the first block.
    func reset() {
        while self.blocks.count > 1 { self.blocks.removeLast().deallocate() }
        self.used = 0
    }

    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { self.bytes(UnsafeRawBufferPointer($0)) }
    }

    func bytes(_ source: UnsafeRawBufferPointer) -> amqp_bytes_t {
        guard let start = source.baseAddress, !source.isEmpty else { return amqp_bytes_t(len: 0, bytes: nil) }
        let target = self.allocate(source.count, alignment: 1)
        target.copyMemory(from: start, byteCount: source.count)
        return amqp_bytes_t(len: source.count, bytes: target)
    }

    /// Makes room for values, not initialised.
    func array<Element>(of type: Element.Type, count: Int) -> UnsafeMutablePointer<Element> {
        self.allocate(max(1, count) * MemoryLayout<Element>.stride, alignment: MemoryLayout<Element>.alignment)
            .bindMemory(to: type, capacity: count)
    }

    private func allocate(_ count: Int, alignment: Int) -> UnsafeMutableRawPointer {
        let start = (self.used + alignment - 1) & ~(alignment - 1)
        let block = self.blocks[self.blocks.count - 1]
        if let base = block.baseAddress, start + count <= block.count {
            self.used = start + count
            return base + start
        }
        self.blocks.append(Self.makeBlock(max(count, Self.blockSize)))
        self.used = 0
        return self.allocate(count, alignment: alignment)
    }

    private static func makeBlock(_ size: Int) -> UnsafeMutableRawBufferPointer {
        .allocate(byteCount: size, alignment: 16)
    }
}

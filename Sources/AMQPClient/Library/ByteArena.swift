import CRabbitMQ

/// Memory for the arguments of one call into the library, all freed at once.
///
/// Pointers into it are valid until `reset`.
final class ByteArena {
    private static let blockSize = 16_384

    private var blocks: [UnsafeMutableRawBufferPointer] = []
    private var used = 0

    init() { blocks = [Self.makeBlock(Self.blockSize)] }

    deinit { for block in blocks { block.deallocate() } }

    /// Invalidates all pointers and frees all blocks except the first.
    func reset() {
        while blocks.count > 1 { blocks.removeLast().deallocate() }
        used = 0
    }

    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { bytes(UnsafeRawBufferPointer($0)) }
    }

    func bytes(_ source: UnsafeRawBufferPointer) -> amqp_bytes_t {
        guard let start = source.baseAddress, !source.isEmpty else { return amqp_bytes_t(len: 0, bytes: nil) }
        let target = allocate(source.count, alignment: 1)
        target.copyMemory(from: start, byteCount: source.count)
        return amqp_bytes_t(len: source.count, bytes: target)
    }

    /// Allocates uninitialized memory for values.
    func array<Element>(of type: Element.Type, count: Int) -> UnsafeMutablePointer<Element> {
        allocate(max(1, count) * MemoryLayout<Element>.stride, alignment: MemoryLayout<Element>.alignment)
            .bindMemory(to: type, capacity: count)
    }

    private func allocate(_ count: Int, alignment: Int) -> UnsafeMutableRawPointer {
        let start = (used + alignment - 1) & ~(alignment - 1)
        let block = blocks[blocks.count - 1]
        if let base = block.baseAddress, start + count <= block.count {
            used = start + count
            return base + start
        }
        blocks.append(Self.makeBlock(max(count, Self.blockSize)))
        used = 0
        return allocate(count, alignment: alignment)
    }

    private static func makeBlock(_ size: Int) -> UnsafeMutableRawBufferPointer {
        .allocate(byteCount: size, alignment: 16)
    }
}

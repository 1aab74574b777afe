import NIOCore
import SystemPackage

/// The body of a request that is read from a file while it is sent.
struct StreamedBody: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    /// How much is read at a time, in bytes.
    private static let chunk = 256 << 10

    let head: [UInt8]
    /// The file, which the caller keeps open.
    let file: SystemPackage.FileDescriptor
    /// The bytes of the file.
    let size: Int
    let tail: [UInt8]
    /// What is sent for each line break of the file; nil means the line break.
    var lineBreak: UInt8?

    /// The length of the body in bytes.
    var count: Int { head.count + size + tail.count }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: self) }

    struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let body: StreamedBody
        private var offset = 0
        private var hasHead = true
        private var hasTail = true

        fileprivate init(body: StreamedBody) { self.body = body }

        mutating func next() async throws -> ByteBuffer? {
            if hasHead {
                hasHead = false
                return ByteBuffer(bytes: body.head)
            }
            if offset < body.size {
                var bytes = [UInt8](repeating: 0, count: Swift.min(StreamedBody.chunk, body.size - offset))
                let count = try bytes.withUnsafeMutableBytes {
                    try body.file.read(fromAbsoluteOffset: Int64(offset), into: $0)
                }
                guard count > 0 else { throw Errno.ioError }
                offset += count
                if let lineBreak = body.lineBreak {
                    for place in 0..<count where bytes[place] == UInt8(ascii: "\n") { bytes[place] = lineBreak }
                }
                return ByteBuffer(bytes: bytes[..<count])
            }
            if hasTail {
                hasTail = false
                return ByteBuffer(bytes: body.tail)
            }
            return nil
        }
    }
}

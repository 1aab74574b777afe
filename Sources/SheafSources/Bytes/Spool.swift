import Glibc

/// A temporary file that takes the bytes of an input as they arrive from elsewhere, such as a network.
///
/// It has no name, so it disappears with its last user, however the process ends. Writing happens on its own queue.
package actor Spool {
    private let queue = ReadingQueue()
    private let file: TemporaryFile
    private var hasher = ContentHasher()

    package nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }

    /// Creates a file in a folder, or in the first writable system folder.
    package init(in folder: String? = nil) throws(SourceError) { file = try TemporaryFile(in: folder) }

    /// Adds bytes at the end.
    package func append(_ bytes: [UInt8]) throws(SourceError) {
        let result = bytes.withUnsafeBytes { bytes in
            hasher.update(bytes)
            return Result { () throws(SourceError) in try file.append(bytes) }
        }
        try result.get()
    }

    /// Returns the bytes so far as an input; add no more afterwards.
    package func finish() -> SpooledInput {
        SpooledInput(descriptor: file.descriptor, size: file.size, digest: InputFingerprint.text(hasher.digest))
    }
}

/// The content of a finished ``Spool``.
package struct SpooledInput: Sendable {
    let descriptor: Descriptor
    /// The size in bytes.
    package let size: Int
    /// A digest of the bytes, as 16 hexadecimal digits; not cryptographically secure.
    package let digest: String
}

/// A spooled input, read by offset as often as wanted.
final class SpooledFile: ByteInput {
    private let spool: SpooledInput

    init(_ spool: SpooledInput) { self.spool = spool }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        guard let count = spool.descriptor.readAll(into: buffer, at: offset) else {
            throw SourceError.system(errno, path: "the temporary copy of the input")
        }
        return count
    }

    func isReady(at offset: Int) -> Bool { true }
}

extension SourceConfiguration {
    /// Returns a digest of a short text, as 16 hexadecimal digits; not cryptographically secure.
    package static func digest(of text: String) -> String { digest(of: [text]) }
}

import Glibc

/// A file with a size, read up to the size it had when the input was opened.
///
/// That bound makes every pass see the same records, also where somebody keeps appending.
final class RegularFile: ByteInput {
    private let descriptor: Descriptor
    private let file: InputFile

    init(_ file: InputFile) throws(SourceError) {
        self.file = file
        self.descriptor = try Descriptor.open(file.path)
        let status = try descriptor.status(path: file.path)
        guard status.st_size >= file.size, status.st_size > file.size || status.modified == file.modified else {
            throw .changed(file.path.display)
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
        let wanted = min(buffer.count, max(file.size - offset, 0))
        guard let count = descriptor.readAll(into: .init(rebasing: buffer[..<wanted]), at: offset) else {
            throw SourceError.system(errno, path: file.path.display)
        }
        guard count == wanted else { throw SourceError.changed(file.path.display) }
        return count
    }

    func isReady(at offset: Int) -> Bool { true }
}

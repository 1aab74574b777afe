import Glibc

/// An unlinked temporary file, which disappears when its owner or the process ends.
package final class TemporaryFile {
    let descriptor: Descriptor
    private let folder: String
    package private(set) var size = 0

    /// Creates a file in a folder, or in the first writable system folder.
    ///
    /// `/var/tmp` comes before `/tmp`, which may be in memory.
    package init(in folder: String?) throws(SourceError) {
        let candidates = [folder, getenv("TMPDIR").map { String(cString: $0) }, "/var/tmp", "/tmp"]
        self.folder = candidates.compactMap(\.self).first { access($0, W_OK) == 0 } ?? folder ?? "/tmp"
        let name = "\(self.folder)/sheaf-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let number = Glibc.open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw Self.failure(self.folder) }
        unlink(name)
        self.descriptor = Descriptor(number)
    }

    package func append(_ bytes: UnsafeRawBufferPointer) throws(SourceError) {
        try write(bytes, at: size)
    }

    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SourceError) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(
                descriptor.number,
                bytes.baseAddress.map { $0 + done },
                bytes.count - done,
                offset + done
            )
            if count >= 0 {
                done += count
                size = max(size, offset + done)
            } else if errno != EINTR {
                throw Self.failure(folder)
            }
        }
    }

    /// Reads from an offset until the buffer is full or the file ends, and returns the number of bytes.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(SourceError) -> Int {
        guard let count = descriptor.readAll(into: buffer, at: offset) else { throw Self.failure(folder) }
        return count
    }

    private static func failure(_ folder: String) -> SourceError {
        let reason = String(cString: strerror(errno))
        return SourceError(
            .temporaryStorage,
            "cannot use a temporary file in \(folder) (\(reason)): set TMPDIR to another folder"
        )
    }
}

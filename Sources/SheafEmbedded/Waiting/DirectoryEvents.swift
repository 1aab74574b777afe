import Glibc

/// Tells when a process writes to the database's write-ahead log.
///
/// Watches the folder, not the file: SQLite removes and makes the write-ahead log anew when the last process has closed
/// it.
final class DirectoryEvents: Sendable {
    /// Readable when something was written.
    let descriptor: Int32

    /// Begins to watch; nil where the system has no more watches to give.
    init?(_ directory: BrokerDirectory) {
        let descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        guard descriptor >= 0 else { return nil }
        self.descriptor = descriptor
        guard inotify_add_watch(descriptor, directory.path, UInt32(IN_MODIFY) | UInt32(IN_CREATE)) >= 0 else {
            return nil
        }
    }

    deinit { close(descriptor) }

    /// Takes all events; which they are does not matter, since the file tells what has changed.
    func drain() {
        withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 8) { buffer in
            while read(descriptor, buffer.baseAddress, buffer.count) > 0 {}
        }
    }
}

import Glibc
import SheafBroker

/// The locked file that tells others that this session lives.
final class SessionFile: Sendable {
    /// Its name in the folder of sessions.
    let name: String
    private let lock: FileLock

    /// Makes and locks a file with a new name.
    init(_ directory: BrokerDirectory) throws {
        self.name = String(UInt64.random(in: .min ... .max), radix: 36)
        guard let lock = try FileLock.take(directory.session(name)) else {
            throw BrokerError(.storage, "the new session file \(directory.session(name)) is locked by another process")
        }
        self.lock = lock
    }

    /// Removes the file; the lock ends with this object.
    func remove() {
        lock.removeFile()
    }

    /// Removes a file that nobody holds.
    static func removeIfDead(_ path: String) {
        guard (try? FileLock.isHeld(path)) == false else { return }
        unlink(path)
    }
}

import Glibc
import SheafBroker

/// A lock on a file, held until it is released or its holder dies, however that happens.
///
/// An "open file description" lock: two in one process exclude each other as those of two processes do, and looking at
/// one does not take it even for a moment, as probing `flock` would. The descriptor closes on `exec`: a child keeps
/// nothing.
final class FileLock: Sendable {
    /// The file.
    let path: String
    private let descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Makes the file where there is none and locks it; nil where somebody holds it.
    static func take(_ path: String) throws -> FileLock? {
        while true {
            let lock = try open(path)
            guard try lock.tryLock() else { return nil }
            // Its last holder may have removed the file between our opening and locking it: then it is no lock any
            // more.
            if lock.isCurrent { return lock }
        }
    }

    /// Opens the file, and makes it where there is none, without locking it.
    static func open(_ path: String) throws -> FileLock {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw StorageFailure.system("can not open", path, errno) }
        return FileLock(path: path, descriptor: descriptor)
    }

    /// Whether somebody holds the file; does not disturb anybody who wants to.
    static func isHeld(_ path: String) throws -> Bool {
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            guard errno == ENOENT else { throw StorageFailure.system("can not open", path, errno) }
            return false
        }
        defer { close(descriptor) }
        var request = wholeFile(F_WRLCK)
        guard fcntl(descriptor, LockCommand.test, &request) == 0 else {
            throw StorageFailure.system("can not look at the lock", path, errno)
        }
        return Int32(request.l_type) != F_UNLCK
    }

    /// Removes the file while it is held, so that files do not pile up.
    func removeFile() {
        unlink(path)
    }

    /// Locks a file that was unlocked; false where somebody holds it.
    func tryLock() throws -> Bool {
        var request = Self.wholeFile(F_WRLCK)
        if fcntl(descriptor, LockCommand.set, &request) == 0 { return true }
        guard errno == EAGAIN || errno == EACCES else { throw StorageFailure.system("can not lock", path, errno) }
        return false
    }

    /// Unlocks the file and keeps it open.
    func unlock() {
        var request = Self.wholeFile(F_UNLCK)
        _ = fcntl(descriptor, LockCommand.set, &request)
    }

    private var isCurrent: Bool {
        var (ours, there) = (stat(), stat())
        return fstat(descriptor, &ours) == 0 && stat(path, &there) == 0
            && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev
    }

    private static func wholeFile(_ type: Int32) -> Glibc.flock {
        var request = Glibc.flock()
        request.l_type = Int16(type)
        request.l_whence = Int16(SEEK_SET)
        return request
    }
}

/// Linux's commands for locks of open file descriptions, which Swift's Glibc does not name.
private enum LockCommand {
    /// `F_OFD_GETLK`.
    static let test: Int32 = 36
    /// `F_OFD_SETLK`.
    static let set: Int32 = 37
}

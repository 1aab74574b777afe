import Glibc
import SheafBroker

/// A lock on a file, held until it is released or its process ends, however it ends.
///
/// It is an "open file description" lock: two locks in one process exclude each other like those of two processes, and
/// testing a lock does not take it even briefly, as testing with `flock` would. The descriptor is closed on `exec`, so
/// a child process does not inherit the lock.
final class FileLock: Sendable {
    /// The file.
    let path: String
    private let descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Creates the file if it does not exist and locks it; returns nil if it is already locked.
    static func take(_ path: String) throws -> FileLock? {
        while true {
            let lock = try open(path)
            guard try lock.tryLock() else { return nil }
            // Its last holder may have removed the file between `open` and `tryLock`, which makes our lock useless.
            if lock.isCurrent { return lock }
        }
    }

    /// Opens the file without locking it, and creates it if it does not exist.
    static func open(_ path: String) throws -> FileLock {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw StorageFailure.system("cannot open", path, errno) }
        return FileLock(path: path, descriptor: descriptor)
    }

    /// Returns whether the file is locked, without disturbing processes that want to lock it.
    static func isHeld(_ path: String) throws -> Bool {
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            guard errno == ENOENT else { throw StorageFailure.system("cannot open", path, errno) }
            return false
        }
        defer { close(descriptor) }
        var request = wholeFile(F_WRLCK)
        guard fcntl(descriptor, LockCommand.test, &request) == 0 else {
            throw StorageFailure.system("cannot test the lock on", path, errno)
        }
        return Int32(request.l_type) != F_UNLCK
    }

    /// Removes the file while it is locked, so that files do not accumulate.
    func removeFile() {
        unlink(path)
    }

    /// Tries to lock the file; returns false if it is already locked.
    func tryLock() throws -> Bool {
        var request = Self.wholeFile(F_WRLCK)
        if fcntl(descriptor, LockCommand.set, &request) == 0 { return true }
        guard errno == EAGAIN || errno == EACCES else { throw StorageFailure.system("cannot lock", path, errno) }
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

/// Linux's commands for open file description locks, which Swift's Glibc module lacks.
private enum LockCommand {
    /// `F_OFD_GETLK`.
    static let test: Int32 = 36
    /// `F_OFD_SETLK`.
    static let set: Int32 = 37
}

/// The locked file that shows other processes that this session is alive.
final class SessionFile: Sendable {
    /// Its name in the folder of session files.
    let name: String
    private let lock: FileLock

    /// Creates and locks a file with a new name.
    init(_ directory: BrokerDirectory) throws {
        self.name = String(UInt64.random(in: .min ... .max), radix: 36)
        guard let lock = try FileLock.take(directory.session(name)) else {
            throw BrokerError(.storage, "the new session file \(directory.session(name)) is locked by another process")
        }
        self.lock = lock
    }

    /// Removes the file; the lock is released with this object.
    func remove() {
        lock.removeFile()
    }

    /// Removes a file if it is not locked.
    static func removeIfDead(_ path: String) {
        guard (try? FileLock.isHeld(path)) == false else { return }
        unlink(path)
    }
}

/// A lock that a process holds while it waits for SQLite's write lock, so that a busy process does not starve others.
///
/// SQLite grants its lock to the first process that asks after it is free, which is nearly always its last holder.
/// Here a process must hold the turn while it asks. A process that has just written finds that the next process holds
/// the turn, and waits. The turn is for fairness only: if its holder is suspended, the others continue without it.
final class TurnLock: Sendable {
    private let file: FileLock
    /// The maximum wait for the turn.
    private static let patience = Duration.seconds(2)

    /// Opens the file of the turn.
    init(_ path: String) throws {
        self.file = try FileLock.open(path)
    }

    /// Runs the body, which asks for SQLite's lock, when this process has the turn.
    func take(_ body: () throws -> Void) throws {
        let clock = ContinuousClock()
        let start = clock.now
        var isOurs = try file.tryLock()
        while !isOurs, clock.now - start < Self.patience {
            usleep(300)
            isOurs = try file.tryLock()
        }
        defer { if isOurs { file.unlock() } }
        try body()
    }

    /// Pauses briefly before the next attempt to get SQLite's lock; returns false after about 8 s of attempts.
    static func waitForDatabase(attempt: Int) -> Bool {
        guard attempt < 7_000 else { return false }
        usleep(attempt < 100 ? 50 : 1_000)
        return true
    }
}

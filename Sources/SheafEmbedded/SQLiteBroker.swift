public import SheafBroker
import SheafCore
public import SystemPackage

/// A broker in one SQLite file, shared by any number of processes on one machine.
///
/// What a process holds, messages as well as locks, is free again as soon as that process has ended, however it ended.
public final class SQLiteBroker: Broker {
    /// Where the file is when nothing else is said.
    public static let defaultDirectory: FilePath = ".sheaf"

    let directory: BrokerDirectory
    let clock: FileClock
    let session: Session
    let writer: Writer
    let reader: Reader
    let watcher: Watcher

    private init(directory: BrokerDirectory, clock: FileClock, writer: Writer) throws {
        self.directory = directory
        self.clock = clock
        self.session = Session(directory, writer)
        self.writer = writer
        self.reader = try Reader(directory, clock)
        self.watcher = try Watcher(directory, clock: clock) { dead in
            await SQLiteBroker.bury(dead, in: directory, with: writer)
        }
    }

    /// Opens the broker in a folder, and makes what is missing.
    ///
    /// Throws ``SheafBroker/BrokerError`` with code `storage` where that can not be, and `blocked` where the disk is full.
    public static func open(directory path: FilePath = defaultDirectory) async throws -> SQLiteBroker {
        try await open(directory: path, machine: .system)
    }

    /// Opens the broker on a machine with these clocks.
    package static func open(directory path: FilePath, machine: MachineClock) async throws -> SQLiteBroker {
        let directory = try BrokerDirectory(path)
        let opening = try await lock(directory.opening)
        defer { withExtendedLifetime(opening) {} }
        try directory.makeDatabaseFile()
        let clock = FileClock(machine)
        let writer = try Writer(directory, clock)
        try await writer.prepare()
        let broker = try SQLiteBroker(directory: directory, clock: clock, writer: writer)
        try await broker.tidy()
        await broker.watcher.activate()
        return broker
    }

    /// Opens references such as `embedded:/data/.sheaf`.
    public static let provider = BrokerProvider(schemes: ["embedded"]) { reference, _ in
        try await SQLiteBroker.open(directory: FilePath(reference.address))
    }

    /// The file, and that it is one for this machine.
    public var description: BrokerDescription {
        get async throws {
            let version = try await reader.read { try $0.libraryVersion() }
            return BrokerDescription(
                kind: "embedded",
                address: directory.database,
                version: "SQLite \(version)",
                notes: ["All processes must be on this machine; the folder must not be on a network file system."]
            )
        }
    }

    /// Gives back what is held, frees the locks, and lets go of the file.
    public func close() async {
        guard await session.close() else { return }
        await watcher.close()
        let id = await session.currentID
        // A failure leaves the session to be found dead by the others, since its file is unlocked all the same.
        try? await writer.close { transaction in
            if let id { try transaction.end(session: id) }
        }
        await reader.close()
        await session.removeFile()
    }

    /// Returns what dead sessions held, and removes what killed processes left over.
    private func tidy() async throws {
        let sessions = try await reader.read { try $0.sessions() }
        let dead = sessions.filter { (try? FileLock.isHeld(directory.session($0.file))) == false }
        await Self.bury(dead, in: directory, with: writer)
        do {
            try await writer.perform { try $0.sweep() }
        } catch let error as BrokerError where error.code == .blocked {
            // What is left over disturbs nobody, and a full disk must not keep anybody from reading.
        }
        // A file that nobody holds and that no session has belongs to one that was killed while it began.
        let known = Set(sessions.map(\.file))
        for name in directory.sessionFiles() where !known.contains(name) {
            SessionFile.removeIfDead(directory.session(name))
        }
    }

    /// Gives back what sessions held whose processes have ended.
    private static func bury(_ dead: [SessionRow], in directory: BrokerDirectory, with writer: Writer) async {
        for row in dead {
            // Where this fails the session stays, and is found dead again at the next look.
            try? await writer.perform { try $0.end(session: row.id) }
            SessionFile.removeIfDead(directory.session(row.file))
        }
    }

    /// Waits for the lock that one process holds while it opens the broker.
    private static func lock(_ path: String) async throws -> FileLock {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(30)
        while clock.now < deadline {
            if let lock = try FileLock.take(path) { return lock }
            try await clock.sleep(for: .milliseconds(2))
        }
        throw BrokerError(.timedOut, "another process does not finish opening the broker (\(path) is locked)")
    }
}

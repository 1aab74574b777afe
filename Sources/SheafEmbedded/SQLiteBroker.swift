package import SheafBroker
package import SheafCore
package import SystemPackage

/// A broker in one SQLite file, shared by any number of processes on one machine.
///
/// Messages and locks held by a process are released when that process ends, however it ends.
package final class SQLiteBroker: Broker {
    /// The default folder of the broker.
    package static let defaultDirectory: FilePath = ".sheaf"

    let directory: BrokerDirectory
    private let clock: FileClock
    private let session: Session
    let writer: Writer
    let reader: Reader
    private let watcher: Watcher

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

    /// Opens the broker in a folder, and creates missing files.
    ///
    /// Throws ``SheafBroker/BrokerError`` with code `storage` if that fails, or `blocked` if the disk is full.
    package static func open(directory path: FilePath = defaultDirectory) async throws -> SQLiteBroker {
        try await open(directory: path, machine: .system)
    }

    /// Opens the broker with the clocks of a machine.
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
    package static let provider = BrokerProvider(schemes: ["embedded"]) { reference, _ in
        try await SQLiteBroker.open(directory: FilePath(reference.address))
    }

    /// The file and the version of SQLite, with a note that the broker works on one machine only.
    package var description: BrokerDescription {
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

    /// Returns held messages to their queues, releases the locks, and closes the file.
    package func close() async {
        guard await session.close() else { return }
        await watcher.close()
        let id = await session.currentID
        // If this fails, other processes find the session dead, since its file is unlocked anyway.
        try? await writer.close { transaction in
            if let id { try transaction.end(session: id) }
        }
        await reader.close()
        await session.removeFile()
    }

    /// Returns messages that dead sessions held, and removes the remains of killed processes.
    private func tidy() async throws {
        let sessions = try await reader.read { try $0.sessions() }
        let dead = sessions.filter { (try? FileLock.isHeld(directory.session($0.file))) == false }
        await Self.bury(dead, in: directory, with: writer)
        do {
            try await writer.perform { try $0.sweep() }
        } catch let error as BrokerError where error.code == .blocked {
            // The remains are harmless, and reading must work on a full disk.
        }
        // An unlocked file without a session belongs to a process that was killed while it started.
        let known = Set(sessions.map(\.file))
        for name in directory.sessionFiles() where !known.contains(name) {
            SessionFile.removeIfDead(directory.session(name))
        }
    }

    /// Returns messages held by sessions whose processes have ended.
    private static func bury(_ dead: [SessionRow], in directory: BrokerDirectory, with writer: Writer) async {
        for row in dead {
            // If this fails, the session stays, and is found dead again at the next check.
            try? await writer.perform { try $0.end(session: row.id) }
            SessionFile.removeIfDead(directory.session(row.file))
        }
    }

    /// Waits for the lock that a process holds while it opens the broker.
    private static func lock(_ path: String) async throws -> FileLock {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(30)
        while clock.now < deadline {
            if let lock = try FileLock.take(path) { return lock }
            try await clock.sleep(for: .milliseconds(2))
        }
        throw BrokerError(.timedOut, "another process has not finished opening the broker: \(path) is locked")
    }
}

// MARK: Queues

extension SQLiteBroker {
    /// Declares a queue; throws `mismatch` if a queue of that name exists with different properties.
    package func declareQueue(_ declaration: QueueDeclaration) async throws {
        try Argument.check(name: declaration.name)
        if let limit = declaration.deliveryLimit, limit < 0 {
            throw BrokerError(.invalidArgument, "the delivery limit must be at least 0, not \(limit)")
        }
        if let lifetime = declaration.lifetime, lifetime < .zero {
            throw BrokerError(.invalidArgument, "the lifetime of a queue must be at least 0, not \(lifetime)")
        }
        try await writer.perform { try $0.declare(declaration) }
    }

    /// Deletes a queue and its messages; a queue that does not exist is not an error.
    package func deleteQueue(_ name: String) async throws {
        guard let id = try await writer.perform({ try $0.unname(queue: name) }) else { return }
        while try await writer.perform({ try $0.removeQueue(id) }) {}
    }

    /// Removes the ready messages of a queue and returns their number.
    @discardableResult
    package func purgeQueue(_ name: String) async throws -> Int {
        let purged = try await writer.perform { try $0.purge(name) }
        if let keys = purged.keys {
            while try await writer.perform({ try $0.removeMessages(keys) }) {}
        }
        return purged.count
    }

    /// Returns the number of ready messages and of consumers, or nil if the queue does not exist.
    package func queueStatus(_ name: String) async throws -> QueueStatus? {
        try await reader.read { try $0.status(of: name) }
    }

    /// Publishes messages to a queue in order, and returns when all of them are in the file.
    package func publish(_ messages: [Message], to queue: String) async throws {
        try Argument.check(messages)
        try await writer.perform(rows: messages.count) { try $0.publish(messages, to: queue) }
    }

    /// Publishes a message that becomes ready after a delay, whatever happens to the wall clock meanwhile.
    package func publish(_ message: Message, to queue: String, after delay: Duration) async throws {
        try Argument.check([message])
        // One more, because the current time lies within its millisecond.
        let due = clock.now + delay.milliseconds + 1
        try await writer.perform { transaction in
            if delay > .zero {
                try transaction.publish(message, to: queue, due: due)
            } else {
                try transaction.publish([message], to: queue)
            }
        }
    }

    /// Starts a consumer of a queue, with at most `prefetch` unsettled deliveries at a time.
    package func consume(_ queue: String, prefetch: Int) async throws -> any QueueConsumer {
        guard prefetch > 0 else {
            throw BrokerError(.invalidArgument, "the prefetch must be at least 1, not \(prefetch)")
        }
        let holder = LeaseHolder(session: try await session.id, consumer: await session.nextNumber())
        let id = try await writer.perform { try $0.addConsumer(holder, of: queue) }
        let consumer = SQLiteConsumer(
            queue: id,
            name: queue,
            prefetch: prefetch,
            holder: holder,
            writer: writer,
            watcher: watcher,
            session: session
        )
        await session.add(consumer, number: holder.consumer)
        return consumer
    }

    /// Takes one message, or returns nil if none is ready.
    package func get(_ queue: String) async throws -> Delivery? {
        let holder = LeaseHolder(session: try await session.id, consumer: 0)
        return try await writer.perform { transaction in
            let row = try QueueRow.required(queue, in: transaction)
            return try transaction.lease(row.id, atMost: 1, to: holder)?.first
        }
    }

    /// Settles deliveries; those of another connection are ignored.
    package func settle(_ deliveries: [Delivery.Token], as settlement: Settlement) async throws {
        // A session that has never received anything holds no messages.
        guard let id = await session.currentID else { return }
        let own = deliveries.filter { $0.epoch == UInt64(id) }
        let counts = try await writer.perform(rows: own.count) { try $0.settle(own, of: id, as: settlement) }
        for (number, count) in counts { await session.consumer(number)?.settled(count) }
    }
}

// MARK: Logs

extension SQLiteBroker {
    /// Declares a log; has no effect if a log of that name exists.
    package func declareLog(_ declaration: LogDeclaration) async throws {
        try Argument.check(name: declaration.name)
        try await writer.perform { try $0.declare(declaration) }
    }

    /// Deletes a log; one that does not exist is not an error.
    package func deleteLog(_ name: String) async throws {
        guard let id = try await writer.perform({ try $0.unname(log: name) }) else { return }
        while try await writer.perform({ try $0.removeLog(id) }) {}
    }

    /// Returns the offset of the next entry, or nil if the log does not exist.
    package func endOffset(of log: String) async throws -> Int64? {
        try await reader.read { try LogRow.named(log, in: $0)?.next }
    }

    /// Appends messages to a log in order, and returns when all of them are in the file.
    package func append(_ messages: [Message], to log: String) async throws {
        try Argument.check(messages)
        try await writer.perform(rows: messages.count) { transaction in
            try transaction.append(messages, to: try LogRow.required(log, in: transaction))
        }
    }

    /// Reads a log from a position, and continues with entries appended later.
    package func read(_ log: String, from position: LogPosition) async throws -> any LogReader {
        let start = try await reader.read { try $0.start(of: log, from: position) }
        let isRelative =
            switch position {
            case .first, .offset: false
            case .last, .next, .since: true
            }
        return SQLiteLogReader(
            log: start.log,
            name: log,
            offset: start.offset,
            reportsStart: isRelative,
            number: await session.nextNumber(),
            reader: reader,
            watcher: watcher
        )
    }
}

// MARK: Locks

extension SQLiteBroker {
    /// Takes a lock for the lifetime of this process and connection, or returns nil if it is already held.
    package func acquireLock(_ name: String) async throws -> (any BrokerLock)? {
        try Argument.check(name: name)
        let path = try directory.lock(name)
        guard await !session.isClosed else { throw Writer.closed }
        guard let file = try FileLock.take(path) else { return nil }
        let lock = SQLiteLock(name: name, file: file)
        guard await session.add(lock) else {
            await lock.release()
            throw Writer.closed
        }
        return lock
    }

    /// Returns whether a lock is held.
    package func isLocked(_ name: String) async throws -> Bool {
        try Argument.check(name: name)
        guard await !session.isClosed else { throw Writer.closed }
        return try FileLock.isHeld(try directory.lock(name))
    }
}

/// Checks arguments of callers against limits that apply to every broker.
private enum Argument {
    private static let (nameBytes, propertyBytes, messageBytes) = (233, 255, 128 << 20)

    /// Throws if a name is empty or too long.
    static func check(name: String) throws {
        guard !name.isEmpty else { throw BrokerError(.invalidArgument, "a name must not be empty") }
        guard name.utf8.count <= nameBytes else {
            throw BrokerError(.invalidArgument, "the name \(name) is longer than \(nameBytes) bytes")
        }
    }

    /// Throws if a message exceeds the limits of any broker.
    static func check(_ messages: [Message]) throws {
        for message in messages {
            for property in [message.id, message.type, message.contentType] {
                guard property.utf8.count <= propertyBytes else {
                    throw BrokerError(.invalidArgument, "a property is longer than \(propertyBytes) bytes: \(property)")
                }
            }
            for header in message.headers where header.name.utf8.count > propertyBytes {
                throw BrokerError(.invalidArgument, "a header's name is longer than \(propertyBytes) bytes")
            }
            guard message.body.count <= messageBytes else {
                throw BrokerError(
                    .tooLarge,
                    "message \(message.id) has \(message.body.count) bytes; the limit is \(messageBytes)"
                )
            }
        }
    }
}

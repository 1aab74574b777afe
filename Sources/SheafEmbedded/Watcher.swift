import Dispatch
import Glibc
import SheafBroker

/// Resumes the waiting tasks of this instance when their conditions hold in the file, whichever process wrote it.
///
/// It checks after each write to the write-ahead log, and periodically. A write is noticed shortly before SQLite makes
/// its transaction visible to other connections, so it checks again shortly after.
actor Watcher {
    private let executor = DispatchQueueExecutor(label: "sheaf.embedded.watcher")
    private let connection: Connection
    private let directory: BrokerDirectory
    private let onDeadSessions: @Sendable ([SessionRow]) async -> Void
    private let events: DirectoryEvents?

    private var source: (any DispatchSourceRead)?
    private var isListening = false
    private var timer: (any DispatchSourceTimer)?
    private var waiters: [UInt64: Waiter] = [:]
    /// The waiters that were woken while not waiting: their next wait returns at once.
    private var woken: Set<UInt64> = []
    /// The version of the file in which all conditions were last checked.
    private var version: Int64?
    /// The remaining pauses before the next checks, and the time of the next periodic check.
    private var pauses: ArraySlice<Int> = []
    private var nextTick = DispatchTime.now()
    private var isCleaning = false
    private var isClosed = false

    /// The pauses before checking again after a write, in microseconds.
    private static let allPauses: [Int] = [500, 1_500, 6_000, 24_000]
    /// The limit above which pauses are skipped after a change was seen, in microseconds.
    private static let longestAfterChange = 10_000
    /// The microseconds between two periodic checks: with waiters, without waiters, and if inotify is not available.
    private static let (tick, idleTick, tickWithoutEvents) = (250_000, 1_000_000, 20_000)

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Opens the file; `onDeadSessions` is called with sessions whose processes have ended.
    init(
        _ directory: BrokerDirectory,
        clock: FileClock,
        onDeadSessions: @escaping @Sendable ([SessionRow]) async -> Void
    ) throws {
        self.connection = try Connection(directory.database, clock)
        self.directory = directory
        self.onDeadSessions = onDeadSessions
        self.events = DirectoryEvents(directory)
    }

    // Releasing a suspended source is a crash, so a broker that was never closed must not leave one.
    isolated deinit { close() }

    /// Starts watching.
    func activate() {
        guard timer == nil, !isClosed else { return }
        if let events {
            let source = DispatchSource.makeReadSource(fileDescriptor: events.descriptor, queue: executor.queue)
            source.setEventHandler { [weak self] in self?.assumeIsolated { $0.somethingWasWritten() } }
            // Keeps the descriptor open as long as the source polls it.
            source.setCancelHandler { withExtendedLifetime(events) {} }
            self.source = source
        }
        let timer = DispatchSource.makeTimerSource(queue: executor.queue)
        timer.setEventHandler { [weak self] in self?.assumeIsolated { $0.timePassed() } }
        self.timer = timer
        setTimer()
        timer.activate()
    }

    /// Waits until the condition holds or ``wake(_:)`` is called; one call at a time for each `id`.
    func wait(for condition: WakeCondition, as id: UInt64) async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                add(Waiter(condition: condition, continuation: continuation), as: id)
            }
        } onCancel: {
            Task { await self.cancel(id) }
        }
    }

    /// Ends the wait of a waiter, or makes its next wait return at once.
    func wake(_ id: UInt64) {
        if let waiter = waiters.removeValue(forKey: id) {
            waiter.continuation.resume()
            listen(!waiters.isEmpty)
        } else {
            woken.insert(id)
        }
    }

    /// Removes a waiter that will not wait again.
    func forget(_ id: UInt64) {
        woken.remove(id)
    }

    /// Ends all waits with the error `closed`.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        for waiter in waiters.values { waiter.continuation.resume(throwing: Writer.closed) }
        waiters = [:]
        // A suspended source must not be cancelled and released.
        listen(true)
        source?.cancel()
        timer?.cancel()
        (source, timer) = (nil, nil)
        connection.close()
    }

    private func cancel(_ id: UInt64) {
        guard let waiter = waiters.removeValue(forKey: id) else { return }
        waiter.continuation.resume(throwing: CancellationError())
        listen(!waiters.isEmpty)
    }

    private func add(_ waiter: Waiter, as id: UInt64) {
        if isClosed { return waiter.continuation.resume(throwing: Writer.closed) }
        if Task.isCancelled { return waiter.continuation.resume(throwing: CancellationError()) }
        if woken.remove(id) != nil { return waiter.continuation.resume() }
        waiters[id] = waiter
        listen(true)
        check(only: id)
        pauses = Self.allPauses[...]
        setTimer()
    }

    private func somethingWasWritten() {
        events?.drain()
        pauses = Self.allPauses[...]
        check()
        // During successive writes, check no more often than the first pause allows.
        listen(false)
        setTimer()
    }

    private func timePassed() {
        guard !isClosed else { return }
        pauses = pauses.dropFirst()
        if DispatchTime.now() >= nextTick { findDeadSessions() }
        check()
        listen(!waiters.isEmpty)
        setTimer()
    }

    /// Resumes the waiters whose conditions hold; checks all waiters, or only one.
    private func check(only id: UInt64? = nil) {
        let asked = id.flatMap { id in waiters[id].map { [id: $0] } } ?? waiters
        guard !asked.isEmpty else { return }
        let dependsOnTime = asked.values.contains { $0.condition.dependsOnTime }
        do {
            let held = try connection.read { transaction in
                if id == nil {
                    let version = try transaction.dataVersion()
                    if version == self.version, !dependsOnTime { return [UInt64: Waiter]() }
                    // The change that was noticed is visible now; only a concurrent write may still become visible.
                    if version != self.version { pauses = pauses.prefix(while: { $0 < Self.longestAfterChange }) }
                    self.version = version
                }
                return try asked.filter { try $0.value.condition.holds(in: transaction) }
            }
            for (id, waiter) in held {
                waiters[id] = nil
                waiter.continuation.resume()
            }
        } catch {
            for (id, waiter) in asked {
                waiters[id] = nil
                waiter.continuation.resume(throwing: error)
            }
        }
    }

    /// Listens for writes, or leaves the events in the system's buffer while there are no waiters.
    private func listen(_ isWanted: Bool) {
        guard let source, isWanted != isListening else { return }
        isListening = isWanted
        if isWanted { source.resume() } else { source.suspend() }
    }

    /// Sets the timer to the earliest of the next check, the next delayed message and the next periodic check.
    private func setTimer() {
        guard let timer, !isClosed else { return }
        let now = DispatchTime.now()
        var pause = waiters.isEmpty ? Self.idleTick : events == nil ? Self.tickWithoutEvents : Self.tick
        if !waiters.isEmpty {
            if let next = pauses.first { pause = min(pause, next) }
            if let due = nextDue() { pause = min(pause, due) }
        }
        timer.schedule(deadline: now + .microseconds(pause), leeway: .microseconds(50))
    }

    /// Returns the microseconds until the next delayed message for one of the waiters.
    private func nextDue() -> Int? {
        if !waiters.values.contains(where: { $0.condition.dependsOnTime }) { return nil }
        let time = try? connection.read { transaction in
            try waiters.values.compactMap { try $0.condition.timeToNext(in: transaction) }.min()
        }
        guard let time = time ?? nil else { return nil }
        return Int(max(0, min(time, 60_000))) * 1_000 + 200
    }

    private func findDeadSessions() {
        nextTick = DispatchTime.now() + .microseconds(Self.tick)
        guard !isCleaning, let sessions = try? connection.read({ try $0.sessions() }) else { return }
        let dead = sessions.filter { session in
            // A file that cannot be checked counts as alive: if its messages returned to the queue, they would run
            // twice.
            (try? FileLock.isHeld(directory.session(session.file))) == false
        }
        guard !dead.isEmpty else { return }
        isCleaning = true
        Task {
            await onDeadSessions(dead)
            isCleaning = false
        }
    }
}

/// The condition in the file for which a consumer or reader waits.
enum WakeCondition: Sendable, Equatable {
    /// A message is ready in the queue, or the queue was deleted.
    case message(queue: Int64)
    /// The queue was deleted.
    case end(queue: Int64)
    /// The log has an entry at or after this offset, or was deleted.
    case entry(log: Int64, offset: Int64)

    /// Whether it may become true without a write.
    var dependsOnTime: Bool {
        if case .message = self { true } else { false }
    }

    /// Returns whether it is true.
    func holds(in transaction: SQLTransaction) throws -> Bool {
        switch self {
        case .message(let queue): try Self.hasMessage(queue, transaction)
        case .end(let queue): try QueueRow.numbered(queue, in: transaction) == nil
        case .entry(let log, let offset): try LogRow.numbered(log, in: transaction).map { $0.next > offset } ?? true
        }
    }

    /// Returns the milliseconds until the next delayed message is due, negative if it is already due.
    func timeToNext(in transaction: SQLTransaction) throws -> Int64? {
        guard case .message(let queue) = self else { return nil }
        let select = try transaction.statement("SELECT min(due) FROM delayed WHERE queue = ?")
        select.bind(queue, at: 1)
        return try select.first { $0.optionalInteger(0).map { $0 - transaction.clock.now } } ?? nil
    }

    private static func hasMessage(_ id: Int64, _ transaction: SQLTransaction) throws -> Bool {
        guard let queue = try QueueRow.numbered(id, in: transaction), queue.head >= queue.next else { return true }
        let returned = try transaction.statement("SELECT 1 FROM returned WHERE key BETWEEN ? AND ? LIMIT 1")
        returned.bind(Place.first(id), at: 1)
        returned.bind(Place.last(id), at: 2)
        if try returned.first({ _ in true }) != nil { return true }
        guard queue.acceptsDelayed else { return false }
        let due = try transaction.statement("SELECT 1 FROM delayed WHERE queue = ? AND due <= ? LIMIT 1")
        due.bind(id, at: 1)
        due.bind(transaction.clock.now, at: 2)
        return try due.first { _ in true } != nil
    }
}

/// A task that waits for a condition.
private struct Waiter {
    let condition: WakeCondition
    let continuation: CheckedContinuation<Void, any Error>
}

/// Notifies of writes to the database's write-ahead log by any process.
///
/// It watches the folder, not the file, because SQLite removes and recreates the write-ahead log after the last process
/// has closed it.
private final class DirectoryEvents: Sendable {
    /// The descriptor that becomes readable after a write.
    let descriptor: Int32

    /// Starts watching; returns nil if the system has no more watches available.
    init?(_ directory: BrokerDirectory) {
        let descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        guard descriptor >= 0 else { return nil }
        self.descriptor = descriptor
        guard inotify_add_watch(descriptor, directory.path, UInt32(IN_MODIFY) | UInt32(IN_CREATE)) >= 0 else {
            return nil
        }
    }

    deinit { close(descriptor) }

    /// Discards all events; their content does not matter, since the changes are read from the file.
    func drain() {
        withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 8) { buffer in
            while read(descriptor, buffer.baseAddress, buffer.count) > 0 {}
        }
    }
}

import Dispatch
import Glibc
import SheafBroker

/// Wakes those who wait in this instance when what they wait for is in the file, whichever process wrote it.
///
/// Looks when the write-ahead log was written to, and now and then besides. A write is seen a moment before SQLite
/// shows its transaction to others, therefore it looks again shortly after.
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
    /// Who was woken while not waiting: the next wait of theirs is over at once.
    private var woken: Set<UInt64> = []
    /// The state of the file that all who wait were last looked at in.
    private var version: Int64?
    /// The pauses before looking again, and when everything is looked at anyway.
    private var pauses: ArraySlice<Int> = []
    private var nextTick = DispatchTime.now()
    private var isCleaning = false
    private var isClosed = false

    /// The pauses before looking again after a write.
    private static let allPauses: [Int] = [500, 1_500, 6_000, 24_000]
    /// Longer ones are left out once a change was seen.
    private static let longestAfterChange = 10_000
    /// The pause between two looks when nothing was written, with and without somebody who waits.
    private static let (tick, idleTick, tickWithoutEvents) = (250_000, 1_000_000, 20_000)

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Opens the file; `onDeadSessions` is told of sessions whose processes have ended.
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

    // Who forgets to close the broker must not leave a suspended source behind: letting go of one is a fault.
    isolated deinit { close() }

    /// Begins to watch.
    func activate() {
        guard timer == nil, !isClosed else { return }
        if let events {
            let source = DispatchSource.makeReadSource(fileDescriptor: events.descriptor, queue: executor.queue)
            source.setEventHandler { [weak self] in self?.assumeIsolated { $0.somethingWasWritten() } }
            // Keeps the descriptor open for as long as the source polls it.
            source.setCancelHandler { withExtendedLifetime(events) {} }
            self.source = source
        }
        let timer = DispatchSource.makeTimerSource(queue: executor.queue)
        timer.setEventHandler { [weak self] in self?.assumeIsolated { $0.timePassed() } }
        self.timer = timer
        setTimer()
        timer.activate()
    }

    /// Returns when the condition holds or somebody calls ``wake(_:)``; one call at a time for each `id`.
    func wait(for condition: WakeCondition, as id: UInt64) async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                add(Waiter(condition: condition, continuation: continuation), as: id)
            }
        } onCancel: {
            Task { await self.cancel(id) }
        }
    }

    /// Ends the waiting of one, or keeps its next wait from waiting.
    func wake(_ id: UInt64) {
        if let waiter = waiters.removeValue(forKey: id) {
            waiter.continuation.resume()
            listen(!waiters.isEmpty)
        } else {
            woken.insert(id)
        }
    }

    /// Forgets one who will not wait any more.
    func forget(_ id: UInt64) {
        woken.remove(id)
    }

    /// Ends all waiting with the error `closed`.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        for waiter in waiters.values { waiter.continuation.resume(throwing: Writer.closed) }
        waiters = [:]
        // A suspended source must not be cancelled and let go.
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
        look(only: id)
        pauses = Self.allPauses[...]
        setTimer()
    }

    private func somethingWasWritten() {
        events?.drain()
        pauses = Self.allPauses[...]
        look()
        // While writes follow each other, look no more often than the first pause says.
        listen(false)
        setTimer()
    }

    private func timePassed() {
        guard !isClosed else { return }
        pauses = pauses.dropFirst()
        if DispatchTime.now() >= nextTick { lookForDeadSessions() }
        look()
        listen(!waiters.isEmpty)
        setTimer()
    }

    /// Wakes those whose conditions hold, all or one.
    private func look(only id: UInt64? = nil) {
        let asked = id.flatMap { id in waiters[id].map { [id: $0] } } ?? waiters
        guard !asked.isEmpty else { return }
        let dependsOnTime = asked.values.contains { $0.condition.dependsOnTime }
        do {
            let held = try connection.read { transaction in
                if id == nil {
                    let version = try transaction.dataVersion()
                    if version == self.version, !dependsOnTime { return [UInt64: Waiter]() }
                    // What was written is to be seen now; what somebody else is just writing will be soon.
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

    /// Listens to writes, or leaves them in the system's buffer while nobody waits.
    private func listen(_ isWanted: Bool) {
        guard let source, isWanted != isListening else { return }
        isListening = isWanted
        if isWanted { source.resume() } else { source.suspend() }
    }

    /// Sets the timer to the earliest of the next look, the next delayed message and the next tick.
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

    /// Microseconds until the next delayed message for one of those who wait.
    private func nextDue() -> Int? {
        if !waiters.values.contains(where: { $0.condition.dependsOnTime }) { return nil }
        let time = try? connection.read { transaction in
            try waiters.values.compactMap { try $0.condition.timeToNext(in: transaction) }.min()
        }
        guard let time = time ?? nil else { return nil }
        return Int(max(0, min(time, 60_000))) * 1_000 + 200
    }

    private func lookForDeadSessions() {
        nextTick = DispatchTime.now() + .microseconds(Self.tick)
        guard !isCleaning, let sessions = try? connection.read({ try $0.sessions() }) else { return }
        let dead = sessions.filter { session in
            // A file that can not be looked at counts as alive: giving its messages to another would run them twice.
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

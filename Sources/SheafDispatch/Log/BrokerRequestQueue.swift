import OrderedCollections
public import SheafBatches
import SheafBroker
public import SheafCore
public import SheafSources
import Synchronization

/// The request queue of the broker: numbered logs of requests, and a log of decisions.
///
/// A batch is a range of the logs, which an entry in the log of decisions fixes. Nothing is held unacknowledged, and
/// several processes may try to decide at once. Use ``close()`` at the end.
public actor BrokerRequestQueue: SearchableRequestQueue {
    /// The name of the dispatcher whose requests these are.
    public nonisolated let name: Name
    let client: SheafClient
    let configuration: BrokerRequestQueueConfiguration

    // What the log of decisions says, as far as it was read.
    private(set) var state = DispatchState()
    private var decisionsRead: Int64 = 0
    private var followingDecisions: Task<Void, Never>?

    // What the logs of requests hold, as far as they were read; nil if this process does not need to know.
    private(set) var scan: RequestScan?
    private var scanning: Task<Void, Never>?
    /// How often reading began again.
    private(set) var scans = 0

    /// The cut that this process has decided and not read back yet, and whether it counts once it is known.
    private var mine: (batch: Name, counts: Bool?)?
    private var lock: (any BrokerLock)?
    private var failure: (any Error)?
    var deletionChecked: ContinuousClock.Instant?
    private let changed = Changes()
    /// Notified of cuts and confirmed batches only.
    let placed = Changes()
    var updates = SharedUpdates()

    /// How many groups may be ready before reading pauses.
    private static let mostReady = 10_000

    private init(client: SheafClient, name: Name, configuration: BrokerRequestQueueConfiguration) {
        self.client = client
        self.name = name
        self.configuration = configuration
    }

    /// Opens the queue of that name, which need not exist yet; throws `BrokerError`.
    public static func open(
        client: SheafClient,
        name: Name,
        configuration: BrokerRequestQueueConfiguration = BrokerRequestQueueConfiguration()
    ) async throws -> BrokerRequestQueue {
        let queue = BrokerRequestQueue(client: client, name: name, configuration: configuration)
        try await retrying(for: .seconds(15)) {
            try await client.broker.declareLog(LogDeclaration(name: client.names.dispatch(name)))
        }
        await queue.begin()
        do {
            try await queue.readDecisions()
        } catch {
            await queue.close()
            throw error
        }
        return queue
    }

    nonisolated var decisions: String { client.names.dispatch(name) }

    nonisolated func requests(_ log: Int) -> String { client.names.requests(name, log: log) }

    /// A stream with an element at first, and whenever there may be a new group.
    public func changes() -> AsyncStream<Void> { changed.stream() }

    /// Ends the use of the queue by this process.
    public func close() async {
        followingDecisions?.cancel()
        scanning?.cancel()
        changed.finish()
        placed.finish()
        await lock?.release()
        lock = nil
    }

    // MARK: Decisions

    private func begin() {
        followingDecisions = Task { [weak self, client, decisions] in
            while !Task.isCancelled {
                do {
                    let start = await self?.decisionsRead ?? 0
                    try await client.broker.follow(decisions, from: .offset(start)) { chunk in
                        guard let self else { return false }
                        await self.applyDecisions(chunk)
                        return true
                    }
                    // The broker was closed, which the next turn reports, or this task was cancelled.
                } catch is CancellationError {
                    return
                } catch {
                    await self?.fail(error)
                    try? await Task.sleep(for: .seconds(1))
                }
            }
        }
    }

    private func applyDecisions(_ chunk: LogChunk) {
        let before = state.decided
        for entry in chunk.entries where entry.offset >= decisionsRead {
            guard let decision = DispatchEntry(entry.message) else { continue }
            apply(decision)
        }
        decisionsRead = max(decisionsRead, chunk.nextOffset)
        failure = nil
        changed.notify()
        if state.decided != before { placed.notify() }
    }

    private func apply(_ decision: DispatchEntry) {
        let counts = state.apply(decision)
        switch decision {
        case .cut(let cut):
            if mine?.batch == cut.batch {
                if mine?.counts == nil { mine?.counts = counts }
            } else if counts, let limits = scan?.limits {
                // Another process has decided.
                if limits.isObserving { scan?.remove(cut.key, before: cut.end) } else { rescan() }
            }
        case .deleted: scan?.forget(before: state.oldest)
        case .opened, .dispatched, .flushed: break
        }
    }

    /// Reads the log of decisions up to its present end.
    func readDecisions() async throws {
        let end = try await retrying(for: .seconds(15)) { try await client.broker.presentEnd(of: decisions) }
        try await wait { decisionsRead >= end }
    }

    /// Appends a decision; returns once it is read back.
    func decide(_ decision: DispatchEntry) async throws {
        try await retrying(for: .seconds(60)) { try await client.broker.append(decision.message, to: decisions) }
        try await readDecisions()
    }

    /// Waits until the condition holds, which is checked after each change; throws the error of the reading if it fails.
    private func wait(until isDone: () -> Bool) async throws {
        if isDone() { return }
        for await _ in changed.stream() {
            if isDone() { return }
            if let failure { throw failure }
        }
        try Task.checkCancellation()
        throw BrokerError(.closed, "the request queue '\(name)' is closed")
    }

    private func fail(_ error: any Error) {
        failure = error
        changed.notify()
    }

    // MARK: Reading requests

    /// Reads the requests again from the oldest log, with the same limits or other ones.
    private func rescan(_ limits: RequestScan.Limits? = nil) {
        scanning?.cancel()
        scans += 1
        let window = RepeatWindow(size: configuration.window)
        scan = RequestScan(from: state.oldest, limits: limits ?? scan?.limits ?? .observing, window: window)
        scanning = Task { [weak self] in
            while !Task.isCancelled {
                guard await self?.scanOneLog() == true else { return }
            }
        }
    }

    /// Follows the log at the scan's position to its end; returns false if this process no longer scans it.
    private func scanOneLog() async -> Bool {
        do {
            guard let position = scan?.next else { return false }
            try await wait { state.current >= position.log }
            try Task.checkCancellation()
            try await client.broker.follow(requests(position.log), from: .offset(position.offset)) { chunk in
                try await apply(chunk, of: position.log)
            }
            return !Task.isCancelled
        } catch is CancellationError {
            return false
        } catch {
            if Task.isCancelled { return false }
            let isGone = (error as? BrokerError).map { [.notFound, .queueGone].contains($0.code) } ?? false
            if isGone, let next = scan?.next.log, (try? await readDecisions()) != nil, state.oldest > next {
                if !Task.isCancelled { rescan() }
                return false
            }
            fail(error)
            try? await Task.sleep(for: .seconds(1))
            return !Task.isCancelled
        }
    }

    private func apply(_ chunk: LogChunk, of log: Int) async throws -> Bool {
        if let scan, scan.readyCount >= Self.mostReady {
            try await wait { (self.scan?.readyCount ?? 0) < Self.mostReady }
        }
        try Task.checkCancellation()
        guard scan?.next.log == log else { return false }
        let now = configuration.clock()
        let key = state.key(of: log)
        defer { changed.notify() }
        failure = nil
        for entry in chunk.entries where entry.offset >= scan?.next.offset ?? 0 {
            if entry.message.type == RequestMessage.endType {
                scan?.passLog()
                return false
            }
            scan?.add(
                at: entry.offset,
                RequestMessage.decode(entry, log: log),
                time: min(RequestMessage.time(of: entry.message) ?? now, now),
                key: key,
                start: state.start(of:)
            )
        }
        scan?.pass(to: chunk.nextOffset)
        return true
    }

    /// Returns once all requests whose addition has returned before the call are known.
    public func update() async throws {
        try await readDecisions()
        try await update(limits: scan?.limits ?? .observing)
    }

    private func update(limits: RequestScan.Limits) async throws {
        if scan?.limits != limits { rescan(limits) }
        guard state.current > 0 else { return }
        try await endPrevious()
        try await read(to: state.current)
    }

    /// Reads the requests up to the present end of a log.
    private func read(to log: Int) async throws {
        let end = RequestPosition(
            log: log,
            offset: try await retrying(for: .seconds(15)) { try await client.broker.presentEnd(of: requests(log)) }
        )
        try await wait { scan.map { $0.next >= end || $0.readyCount >= Self.mostReady } ?? false }
    }

    /// Ends the log before the present one if the process that should have ended it has died.
    private func endPrevious() async throws {
        let log = state.current - 1
        guard log >= state.oldest, let scan, scan.next.log <= log else { return }
        do {
            try await read(to: log)
            if self.scan?.next.log == log { try await end(log) }
        } catch let error as BrokerError where error.code == .notFound {
            return  // it was deleted in the meantime
        }
    }

    /// Returns how many requests wait for a batch.
    public func waiting() async throws -> WaitingRequests {
        try await update()
        return scan?.waiting ?? WaitingRequests()
    }

    // MARK: Deciding

    /// Makes all requests due that wait now.
    public func flush() async throws {
        try await readDecisions()
        guard state.current > 0 else { return }
        let end = try await client.broker.presentEnd(of: requests(state.current))
        try await decide(.flushed(RequestPosition(log: state.current, offset: end)))
    }

    /// Decides which requests form the next batch, or returns an earlier group that is not finished.
    public func claim(_ rules: DispatchRules, at now: Timestamp) async throws -> RequestGroup? {
        let limits = RequestScan.Limits(count: rules.queueThreshold, bytes: rules.maxBytes)
        try await lead(limits)
        if scan?.limits != limits { try await update(limits: limits) }
        while true {
            if let cut = state.unfinished.values.first {
                try await wait { scan.map { $0.next >= cut.end } ?? false || state.unfinished[cut.batch] == nil }
                if let cut = state.unfinished[cut.batch] { return cut.group }
                continue
            }
            guard let (key, group) = scan?.due(before: now + (.zero - rules.timeThreshold), flushed: state.flushed)
            else {
                try await rollIfFull()
                return nil
            }
            scan?.close(key)
            let cut = Cut(
                batch: newBatch(at: now),
                key: key,
                start: state.start(of: key),
                end: group.end,
                count: group.count,
                arguments: rules.arguments
            )
            mine = (cut.batch, nil)
            let reading = scans
            do {
                try await decide(.cut(cut))
            } catch {
                // It may count, or not; reading everything again shows it.
                mine = nil
                rescan()
                throw error
            }
            let counts = mine?.counts ?? false
            mine = nil
            if counts, reading == scans {
                scan?.remove(key)
                changed.notify()
            } else {
                rescan()
                try await update(limits: limits)
            }
        }
    }

    private func newBatch(at now: Timestamp) -> Name {
        var generator = SystemRandomNumberGenerator()
        return Name.newBatch(at: now, using: &generator)
    }

    /// Takes the lock of the process that decides; throws `busy` if another process has it.
    private func lead(_ limits: RequestScan.Limits) async throws {
        if let lock, await lock.isHeld { return }
        lock = try await retrying(for: .seconds(15)) {
            try await client.broker.acquireLock(client.names.dispatchingLock(name))
        }
        guard lock != nil else {
            throw RequestQueueError(.busy, "another process decides about the requests of '\(name)'")
        }
        try await readDecisions()
        if state.current > 0, state.key(of: state.current) != configuration.key.map({ RequestKey($0) }) {
            try await roll()
        }
        for log in max(1, state.oldest - 3)..<max(1, state.oldest) { try await client.broker.deleteLog(requests(log)) }
        try await update(limits: limits)
    }

    /// Reads the requests of a group from a position on.
    public func requests(
        of group: RequestGroup,
        from position: Int
    ) async throws -> AsyncThrowingStream<[SourceItem], any Error> {
        guard let cut = state.unfinished[group.batch] else {
            throw RequestQueueError.notClaimed(group.batch, name)
        }
        let (broker, names, name) = (client.broker, client.names, name)
        let cursor = RequestCursor(broker: broker, from: cut.start, to: cut.end) { names.requests(name, log: $0) }
        let numbering = RequestNumbering(skipping: position)
        return AsyncThrowingStream {
            while let found = try await cursor.read() {
                let items = await self.items(found, of: cut, numbering)
                if !items.isEmpty { return items }
            }
            return nil
        }
    }

    /// Selects the requests of a cut and numbers them.
    private func items(
        _ found: [(position: RequestPosition, request: Record)],
        of cut: Cut,
        _ numbering: RequestNumbering
    ) -> [SourceItem] {
        var items: [SourceItem] = []
        for (position, request) in found {
            if scan?.isRepeat(position) ?? false { continue }
            let key = state.key(of: position.log)
            if key.flatMap({ try? $0.value(of: request).get() }) != cut.key { continue }
            guard let index = numbering.next() else { continue }
            if scan?.isConflict(position) ?? false {
                items.append(request.conflict(index: index))
            } else {
                items.append(request.item(index: index, key: key))
            }
        }
        return items
    }

    /// Removes the requests of a group whose batch is confirmed.
    public func finish(_ group: RequestGroup) async throws {
        try await readDecisions()
        if state.unfinished[group.batch] != nil { try await decide(.dispatched(group.batch)) }
        try await rollIfFull()
        try await deleteOldLogs()
    }
}

/// Gives the requests of a group their numbers, in order, and leaves out the first ones.
private final class RequestNumbering: Sendable {
    private let count = Atomic(0)
    private let skipped: Int

    init(skipping skipped: Int) { self.skipped = skipped }

    /// The number of the next request, or nil if it is left out.
    func next() -> Int? {
        let index = count.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < skipped ? nil : index
    }
}

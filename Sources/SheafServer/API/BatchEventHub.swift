import NIOCore
import ServiceLifecycle
import SheafBatches
import SheafCore
import Synchronization

/// Shares the changes of batches between all clients that listen to events.
///
/// A change is serialised at most once, and only if a client wants it. There is no queue for each client: a client that
/// is slow gets the newest state of each batch that has changed in the meantime.
final class BatchEventHub: Service {
    private struct State {
        /// Grows with each round of changes.
        var revision = 0
        /// The newest event of each batch; of a deleted one the deletion, for a while.
        var events: [Name: BatchEventFrame] = [:]
        /// The events of the newest round as one piece, for the clients that have all before it.
        var newest: Once<ByteBuffer>?
        var listeners = 0
    }

    let directory: BatchDirectory
    private let state = Mutex(State())
    private let changed = Changes()

    /// How long changes are collected: two events a second for a batch at most.
    private static let interval = Duration.milliseconds(500)
    /// How often listeners are woken if nothing changes, so that they can write a comment.
    private static let quietInterval = Duration.seconds(5)
    /// For how many rounds the deletion of a batch is remembered.
    private static let deletionRounds = 1_000

    init(directory: BatchDirectory) { self.directory = directory }

    /// Follows the directory until that ends, the task is cancelled or the service shuts down; then all streams end.
    func run() async throws {
        defer { changed.finish() }
        await cancelWhenGracefulShutdown {
            await withTaskGroup { group in
                group.addTask {
                    for await _ in self.directory.changes() {
                        self.publish()
                        try? await Task.sleep(for: Self.interval)
                    }
                }
                group.addTask {
                    while (try? await Task.sleep(for: Self.quietInterval)) != nil { self.changed.notify() }
                }
                await group.next()
                group.cancelAll()
            }
        }
    }

    private func publish() {
        let hasChanged = state.withLock { state in
            if state.listeners == 0 { return false }
            // Under the lock, so that no older state follows a newer one.
            let frames = Self.changes(in: directory.snapshot, since: state)
            if frames.isEmpty { return false }
            state.revision += 1
            for frame in frames { state.events[frame.batch] = frame }
            state.newest = Once { Self.join(frames) ?? ByteBuffer() }
            let oldest = state.revision - Self.deletionRounds
            state.events = state.events.filter { $0.value.summary != nil || $0.value.revision > oldest }
            return true
        }
        if hasChanged { changed.notify() }
    }

    private static func changes(in batches: [BatchSummary], since state: State) -> [BatchEventFrame] {
        var frames: [BatchEventFrame] = []
        let revision = state.revision + 1
        for batch in batches where state.events[batch.info.id]?.summary != batch {
            frames.append(BatchEventFrame(of: batch, revision: revision))
        }
        let known = Set(batches.map(\.info.id))
        for (id, frame) in state.events where frame.summary != nil && !known.contains(id) {
            frames.append(BatchEventFrame(deletionOf: id, revision: revision))
        }
        return frames
    }

    // MARK: Listening

    /// Adds a listener, so that changes are recorded; returns a stream that wakes it after each round of changes.
    ///
    /// ``leave()`` must follow.
    func join() -> AsyncStream<Void> {
        let stream = changed.stream()
        state.withLock { state in
            state.listeners += 1
            guard state.listeners == 1 else { return }
            // Without a listener no change was recorded.
            state.revision += 1
            state.newest = nil
            let frames = directory.snapshot.map { ($0.info.id, BatchEventFrame(of: $0, revision: state.revision)) }
            state.events = Dictionary(frames) { $1 }
        }
        return stream
    }

    /// Ends all streams.
    func close() { changed.finish() }

    /// Ends what ``join()`` began.
    func leave() { state.withLock { $0.listeners -= 1 } }

    /// The newest event of a batch, or nil if the hub has not noticed the batch yet.
    func event(of batch: Name) -> BatchEventFrame? { state.withLock { $0.events[batch] } }

    /// What a stream of all batches begins with, and the present revision.
    ///
    /// - Parameters:
    ///   - limit: How many batches at most, the newest.
    ///   - time: A client that was connected until then also gets the batches that have ended since.
    func presentEvents(atMost limit: Int, orSince time: Timestamp?) -> (bytes: ByteBuffer?, revision: Int) {
        let (frames, now) = state.withLock { state in
            let frames = state.events.values.filter { frame in
                guard let batch = frame.summary else { return false }
                return batch.info.ending == nil || time.map { batch.finishedAt ?? $0 >= $0 } ?? false
            }
            return (frames, state.revision)
        }
        return (Self.join(frames.sorted { $0.created > $1.created }.prefix(limit)), now)
    }

    /// What has changed since a revision, and the present revision.
    func events(since revision: Int) -> (bytes: ByteBuffer?, revision: Int) {
        let (frames, shared, now) = state.withLock { state in
            if revision == state.revision - 1, let newest = state.newest {
                return ([BatchEventFrame](), Once<ByteBuffer>?.some(newest), state.revision)
            }
            let isCurrent = revision == state.revision
            return (isCurrent ? [] : state.events.values.filter { $0.revision > revision }, nil, state.revision)
        }
        return (shared?.value ?? Self.join(frames), now)
    }

    private static func join(_ frames: some Collection<BatchEventFrame>) -> ByteBuffer? {
        if frames.isEmpty { return nil }
        var whole = ByteBuffer()
        let ordered = frames.sorted { ($0.revision, $0.created, $0.batch) < ($1.revision, $1.created, $1.batch) }
        for frame in ordered { whole.writeImmutableBuffer(frame.bytes) }
        return whole
    }
}

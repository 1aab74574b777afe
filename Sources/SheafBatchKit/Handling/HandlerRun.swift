import Logging
import ServiceLifecycle
import SheafBatches
import SheafBroker
import SheafCore
import SheafWorker
import Synchronization

/// One run of a ``BatchHandler``: starts batches, watches them end, and has them processed.
struct HandlerRun: Sendable {
    private let handler: BatchHandler
    private let batches = RunningBatches()
    private let ended: EndedBatches

    /// How long a handler waits before it looks whether another one still handles the batches.
    private static let standby = Duration.seconds(1)

    init(_ handler: BatchHandler) {
        self.handler = handler
        ended = EndedBatches(handler)
    }

    private var client: SheafClient { handler.client }
    private var logger: Logger { handler.configuration.logger }

    /// Handles batches until a shutdown or cancellation; waits as long as another process does.
    func run() async throws {
        var backoff = Backoff(first: .milliseconds(250), ceiling: .seconds(30))
        while !Task.isShuttingDownGracefully {
            try Task.checkCancellation()
            do {
                guard let lock = try await client.broker.acquireLock(client.names.handlingLock(handler.name)) else {
                    try await Self.pause(for: Self.standby)
                    continue
                }
                backoff.reset()
                do {
                    try await handle(lock)
                } catch {
                    await lock.release()
                    throw error
                }
                await lock.release()
            } catch let error where error is CancellationError || (error as? BrokerError)?.code == .closed {
                throw error
            } catch {
                logger.error("handler '\(handler.name)' is interrupted: \(error); trying again")
                try await backoff.pause()
            }
        }
    }

    /// Waits; returns early at a shutdown.
    private static func pause(for duration: Duration) async throws {
        do {
            try await cancelWhenGracefulShutdown { try await Task.sleep(for: duration) }
        } catch is CancellationError {
            try Task.checkCancellation()
        }
    }

    /// Handles batches while this process holds the lock.
    private func handle(_ lock: any BrokerLock) async throws {
        let directory = try await BatchDirectory(client: client)
        let (wakes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        batches.clear()
        ended.clear()
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                try await directory.run()
                // It ends at a shutdown, before what runs has ended.
                try await Self.forever()
            }
            group.addTask { [handler] in
                for await _ in handler.changed.stream() { continuation.yield() }
                try await Self.forever()
            }
            group.addTask { [handler] in
                for await _ in await handler.queue.changes() { continuation.yield() }
                try await Self.forever()
            }
            group.addTask {
                for await _ in directory.changes() { continuation.yield() }
                try await Self.forever()
            }
            group.addTask { [handler] in
                while true {
                    try await Task.sleep(for: handler.configuration.interval)
                    continuation.yield()
                }
            }
            group.addTask {
                try await withThrowingTaskGroup(of: Void.self) { parts in
                    parts.addTask { try await ended.process() }
                    parts.addTask { try await look(directory, lock, wakes) { continuation.yield() } }
                    try await parts.waitForAllOrFailure()
                }
            }
            // The last of them ends at a shutdown; each ends with an error, of which the first counts.
            try await group.next()
        }
    }

    private static func forever() async throws {
        while true { try await Task.sleep(for: .seconds(3_600)) }
    }

    // MARK: Looking

    /// Looks at the unfinished batches whenever something may have changed, and runs those that may run.
    private func look(
        _ directory: BatchDirectory,
        _ lock: any BrokerLock,
        _ wakes: AsyncStream<Void>,
        wake: @escaping @Sendable () -> Void
    ) async throws {
        try await withThrowingDiscardingTaskGroup { workers in
            for await _ in wakes.cancelOnGracefulShutdown() {
                guard await lock.isHeld else {
                    throw BrokerError(.connectionLost, "the lock of handler '\(handler.name)' is lost")
                }
                for batch in try await handler.queue.unfinished() {
                    if batches.isRunning(batch) || ended.contains(batch) { continue }
                    switch try await state(of: batch, directory) {
                    case .ended(let batch): ended.add(batch)
                    case .waiting: continue
                    case .runnable:
                        guard batches.start(batch, limit: handler.configuration.maximumRunning) else { continue }
                        workers.addTask {
                            let pause = try await work(on: batch)
                            batches.end(batch, pause: pause)
                            wake()
                        }
                    }
                }
            }
            try Task.checkCancellation()
        }
    }

    private enum BatchPhase {
        /// It may be run.
        case runnable
        /// It is paused, or its end is not recorded yet.
        case waiting
        case ended(HandledBatch)
    }

    private func state(of batch: Name, _ directory: BatchDirectory) async throws -> BatchPhase {
        let summary: BatchSummary
        do {
            summary = try directory.summary(of: batch.text)
        } catch let error as SheafError where error.code == .notFound {
            return try await stateOfUnknown(batch)
        }
        let info = summary.info
        if info.ending != nil {
            return .ended(HandledBatch(batch, summary, info.cancelled == nil ? nil : .cancelled, client))
        }
        if info.cancelled != nil { return .waiting }
        if let stopped = info.stopped {
            let summary = try await client.batch(batch.text)
            return .ended(HandledBatch(batch, summary, .stopped(stopped.reason), client))
        }
        return info.isPaused ? .waiting : .runnable
    }

    /// Decides about a batch that the directory does not have: it may be in the storage, or too new.
    private func stateOfUnknown(_ batch: Name) async throws -> BatchPhase {
        do {
            _ = try await client.batch(batch.text)
            return .waiting
        } catch let error as SheafError where error.code == .notFound {
            if let storage = handler.storage, try await storage.load(batch) != nil {
                let isDeleted = try await Journal.read(from: client).state.isDeleted(batch)
                if !isDeleted { return .runnable }
            }
            return .ended(HandledBatch(batch, nil, .missing, client))
        }
    }

    // MARK: Running

    /// Runs a batch until it has ended; returns how long to wait until it may be tried again.
    private func work(on batch: Name) async throws -> Duration {
        let configuration = handler.configuration
        do {
            if let requests = try await handler.storage?.load(batch) {
                _ = try await client.createOnce(handler.plan(batch), requests.records())
            }
            var worker = WorkerConfiguration.only(
                configuration.definition,
                batch: batch,
                concurrency: configuration.concurrency
            )
            worker.untilEmpty = true
            let running = Worker(client: client, configuration: worker)
            try await running.run()
            let report = running.report
            if !report.interrupted.isEmpty {
                logger.warning("batch '\(batch)' waits: its creation was interrupted and has to be resumed")
            } else if !report.missing.isEmpty {
                logger.warning("batch '\(batch)' waits: the broker has lost tasks of it, which have to be retried")
            } else {
                return .zero
            }
        } catch  where Task.isCancelled {
            throw CancellationError()
        } catch let error as SheafError where error.code == .notFound {
            // It was deleted meanwhile, which the next look finds out.
        } catch {
            logger.error("batch '\(batch)' is interrupted: \(error); trying again")
        }
        return configuration.interval
    }
}

/// The batches that are run by this process, and those that are tried again later.
private final class RunningBatches: Sendable {
    private struct Contents {
        var running: Set<Name> = []
        var postponed: [Name: ContinuousClock.Instant] = [:]
    }

    private let contents = Mutex(Contents())

    func clear() { contents.withLock { $0 = Contents() } }

    func isRunning(_ batch: Name) -> Bool { contents.withLock { $0.running.contains(batch) } }

    /// Records that a batch runs; returns false if too many do, or if it was tried just now.
    func start(_ batch: Name, limit: Int) -> Bool {
        contents.withLock { contents in
            if contents.running.count >= limit { return false }
            if let time = contents.postponed[batch], time > .now { return false }
            contents.postponed[batch] = nil
            contents.running.insert(batch)
            return true
        }
    }

    /// Records that a batch no longer runs, and may be tried again after a pause.
    func end(_ batch: Name, pause: Duration) {
        contents.withLock { contents in
            contents.running.remove(batch)
            if pause > .zero { contents.postponed[batch] = .now + pause }
        }
    }
}

import Logging
import SheafBatches
import SheafBroker
import SheafCore

/// A queue from which nothing can be taken for now, though it should be there.
struct QueueTrouble: Sendable {
    /// Since when there has been no consumer, or no queue.
    var since = ContinuousClock.now
    /// Since when the broker says that there is no such queue, if it does.
    var missingSince: ContinuousClock.Instant?
    /// When to try again.
    var retryAt = ContinuousClock.now
    var pause = Duration.milliseconds(200)
    /// What the last try ended with.
    var error: BrokerError?
    var isReported = false
}

extension TaskFetcher {
    /// How long a queue may give nothing until that counts as broken, or as lost where the broker says that it is gone.
    static let patience = Duration.seconds(10)
    private static let longestPause = Duration.seconds(2)

    /// Whether it is time to try a queue.
    func isUsable(_ key: QueueKey) -> Bool { troubles[key].map { .now >= $0.retryAt } ?? true }

    /// Notes that a queue gives tasks.
    func noteService(of key: QueueKey) {
        guard let trouble = troubles.removeValue(forKey: key), trouble.isReported else { return }
        client.logger.warning("batch \(key.batch): tasks are taken from queue '\(queue(key) ?? "")' again")
    }

    /// Notes that a queue gives no tasks for now.
    func noteTrouble(with key: QueueKey, _ error: BrokerError?) {
        var trouble = troubles[key] ?? QueueTrouble()
        trouble.error = error ?? trouble.error
        // Without any connection it is not the queue that is in trouble.
        if error?.code == .unreachable { trouble.since = .now }
        troubles[key] = trouble
    }

    /// Says which queues a worker that is connected has not been able to consume from for long.
    func noteBroken() {
        for (key, trouble) in troubles {
            if !mayRun(key.batch) {
                troubles[key] = nil
                continue
            }
            guard !trouble.isReported, trouble.missingSince == nil, feeds[key] == nil, let queue = queue(key),
                .now - trouble.since > Self.patience
            else { continue }
            troubles[key]?.isReported = true
            state.note { $0.broken += 1 }
            client.logger.error(
                """
                batch \(key.batch): nothing could be consumed from queue '\(queue)' for \(Self.patience), and it is tried \
                again and again: \(trouble.error.map { "\($0)" } ?? "the broker does not answer")
                """
            )
        }
    }

    /// Sees to a queue of tasks or permits of which the broker says that there is none.
    ///
    /// The end of a batch deletes its queues; the journal says so, maybe a moment later. And a broker that has just been
    /// started may say so of a queue that is there. Only after some time the tasks are believed to be lost.
    func queueIsMissing(_ queue: String, of key: QueueKey) async throws {
        guard try await passing({ try await journal.catchUp() }) != nil else { return }
        guard let record = journal[key.batch], record.isRunnable, record.generations.contains(key.generation) else {
            troubles[key] = nil
            return
        }
        var trouble = troubles[key] ?? QueueTrouble()
        let since = trouble.missingSince ?? .now
        trouble.missingSince = since
        trouble.retryAt = .now + trouble.pause
        trouble.pause = min(trouble.pause * 2, Self.longestPause)
        troubles[key] = trouble
        guard .now - since > Self.patience,
            let status = try await passing({ try await client.broker.queueStatus(queue) }), status == nil
        else { return }
        let reason = Self.lossReason(of: queue, isOfTasks: queue == self.queue(key), batch: key.batch)
        client.logger.error("batch \(key.batch): \(reason)")
        _ = try await passing {
            try await journal.append(.stopped(reason: reason), to: key.batch, flow: record.flow)
            try await journal.catchUp()
        }
        troubles[key] = nil
    }

    private static func lossReason(of queue: String, isOfTasks: Bool, batch: Name) -> String {
        if isOfTasks {
            return """
                queue-lost: the task queue '\(queue)' does not exist any more, and the tasks that waited in it are lost; \
                'sheaf retry \(batch) --missing' publishes them again
                """
        }
        return """
            queue-lost: the queue of permits '\(queue)' does not exist any more; 'sheaf set \(batch) maxRunning=N' makes \
            it again, and 'sheaf resume \(batch)' lets the batch go on
            """
    }
}

import SheafBroker
import SheafCore

extension BrokerExercise {
    /// How long an activity rests between two calls, so that it measures the faults and not the machine.
    private static let pace = Duration.milliseconds(5)
    private static let prefetch = 50

    func publish() async throws {
        var number = 0
        while !record.isStopping {
            let ids = (number..<number + 5).map { "task-\($0)" }
            number += 5
            let messages = ids.map { Message(id: $0, body: Array($0.utf8)) }
            if try await attempt(.publishing, { try await self.broker.publish(messages, to: self.queue) }) != nil {
                ledger.published(ids)
            }
            try await Task.sleep(for: Self.pace)
        }
    }

    func publishLast() async throws {
        _ = try await attempt(nil) { try await self.broker.publish(Message(id: "last"), to: self.queue) }
    }

    func append() async throws {
        var number = 0
        while !record.isStopping {
            let ids = (number..<number + 5).map { "entry-\($0)" }
            number += 5
            let messages = ids.map { Message(id: $0, body: Array($0.utf8)) }
            if try await attempt(.appending, { try await self.broker.append(messages, to: self.log) }) != nil {
                ledger.appended(ids)
            }
            try await Task.sleep(for: Self.pace)
        }
    }

    /// Always holds the last batch until the next one is there, so that there are deliveries to lose at any moment.
    ///
    /// Those of an ended consumer are settled too, as a worker does that has finished its task: that must do nothing.
    func consume() async throws {
        var held: [Delivery] = []
        while !Task.isCancelled {
            guard
                let consumer = try await attempt(
                    nil,
                    { try await self.broker.consume(self.queue, prefetch: Self.prefetch) }
                )
            else { continue }
            var stale = held
            held = []
            while let next = try await attempt(.consuming, { try await consumer.next() }), let arrived = next {
                try await settle(&stale, isStale: true)
                try await settle(&held, isStale: false)
                held = arrived
                // Or nothing more could come.
                if held.count > Self.prefetch / 2 { try await settle(&held, isStale: false) }
            }
            // It returns nothing where the consumer is gone, and never throws then.
            _ = try await attempt(nil) { try await consumer.cancel() }
        }
    }

    private func settle(_ deliveries: inout [Delivery], isStale: Bool) async throws {
        let settled = deliveries
        deliveries = []
        guard !settled.isEmpty else { return }
        let result: Void? = try await attempt(nil) { try await self.broker.settle(settled, as: .acknowledged) }
        if result != nil, !isStale { ledger.settled(settled.map(\.message.id)) }
    }

    func read() async throws {
        var position = LogPosition.first
        while !Task.isCancelled {
            let start = position
            guard let reader = try await attempt(nil, { try await self.broker.read(self.log, from: start) })
            else { continue }
            while let next = try await attempt(.reading, { try await reader.next() }), let chunk = next {
                ledger.read(chunk.entries)
                position = .offset(chunk.nextOffset)
            }
            await reader.cancel()
        }
    }

    func declare() async throws {
        while !record.isStopping {
            let status = try await attempt(.declaring) { () async throws -> QueueStatus? in
                try await self.broker.declareLog(LogDeclaration(name: self.log))
                try await self.broker.declareQueue(QueueDeclaration(name: self.queue, deliveryLimit: 1_000))
                return try await self.broker.queueStatus(self.queue)
            }
            if let status, status == nil { throw failure("a queue that is there was said to be gone") }
            try await Task.sleep(for: Self.pace)
        }
    }

    func useLock() async throws {
        while !record.isStopping {
            // Nil while the broker has not noticed the end of the connection that held it.
            let acquired = try await attempt(.locking, succeedsLater: true) {
                try await self.broker.acquireLock(self.lock)
            }
            if let lock = acquired ?? nil {
                _ = try await attempt(.locking) { try await self.broker.isLocked(self.lock) }
                await lock.release()
                if await lock.isHeld { throw failure("a lock that was released says it is held") }
            }
            try await Task.sleep(for: Self.pace)
        }
    }

    /// Makes a call and notes how it went; returns nil after an error that may pass by itself, and a short rest.
    private func attempt<Value: Sendable>(
        _ activity: Activity?,
        succeedsLater: Bool = false,
        _ body: @Sendable () async throws -> Value
    ) async throws -> Value? {
        let start = ContinuousClock.now
        do {
            let value = try await body()
            if let activity, !succeedsLater { record.succeeded(activity, start) }
            return value
        } catch let error as BrokerError {
            guard error.isRetryable, !error.message.isEmpty else {
                throw failure("\(activity?.rawValue ?? "a call") failed with \(error.code): \(error)")
            }
            record.failed(activity, start, error)
            try await Task.sleep(for: .milliseconds(20))
            return nil
        }
    }
}

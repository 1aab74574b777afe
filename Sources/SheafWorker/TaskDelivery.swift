import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// A delivery of a task, with the permit that was taken for it.
///
/// It never changes, and copying it counts one reference: it is handed on about ten times.
struct TaskDelivery: Sendable {
    private final class Loaded: Sendable {
        let delivery: Delivery
        let queue: QueueKey?
        let permit: Delivery?
        let limit: RateLimitKey?
        let consumer: Int?

        init(_ delivery: Delivery, _ queue: QueueKey?, _ permit: Delivery?, _ limit: RateLimitKey?, _ consumer: Int?) {
            self.delivery = delivery
            self.queue = queue
            self.permit = permit
            self.limit = limit
            self.consumer = consumer
        }
    }

    /// Where deliveries came from that have the same task queue.
    private final class Source: Sendable {
        let home: String
        let queue: QueueKey?
        let limit: RateLimitKey?
        let consumer: Int?

        init(_ loaded: Loaded) {
            home = loaded.delivery.queue
            queue = loaded.queue
            limit = loaded.limit
            consumer = loaded.consumer
        }

        func isSame(as loaded: Loaded) -> Bool {
            consumer == loaded.consumer && limit == loaded.limit && queue == loaded.queue
                && home == loaded.delivery.queue
        }
    }

    /// What is left in memory of a delivery whose message is in a file.
    private final class Spilled: Sendable {
        let message: SpilledMessage
        let token: Delivery.Token
        let earlierDeliveries: Int
        let source: Source

        init(_ loaded: Loaded, _ message: SpilledMessage, _ source: Source?) {
            self.message = message
            token = loaded.delivery.token
            earlierDeliveries = loaded.delivery.earlierDeliveries
            self.source = source.flatMap { $0.isSame(as: loaded) ? $0 : nil } ?? Source(loaded)
        }
    }

    private enum Storage: Sendable {
        case loaded(Loaded)
        case spilled(Spilled)
    }

    private let storage: Storage

    /// Creates a delivery.
    ///
    /// - Parameters:
    ///   - delivery: What the broker delivered.
    ///   - queue: The task queue it came from; nil for a suspect.
    ///   - permit: The permit that was taken for it, if its batch is capped.
    ///   - limit: The rate limit that its call has to keep.
    ///   - consumer: The number of the consumer that brought it; nil if it was taken alone.
    init(
        _ delivery: Delivery,
        from queue: QueueKey? = nil,
        permit: Delivery? = nil,
        limit: RateLimitKey? = nil,
        consumer: Int? = nil
    ) {
        storage = .loaded(Loaded(delivery, queue, permit, limit, consumer))
    }

    private init(_ storage: Storage) { self.storage = storage }

    /// Returns the delivery with its message in a file; the same delivery if it has a permit, or is spilled already.
    ///
    /// - Parameters:
    ///   - message: The message in the file.
    ///   - other: A delivery that may have come from the same queue; the two then share what they have in common.
    func spilled(to message: SpilledMessage, like other: TaskDelivery?) -> TaskDelivery {
        guard case .loaded(let loaded) = storage, loaded.permit == nil else { return self }
        var source: Source?
        if case .spilled(let spilled) = other?.storage { source = spilled.source }
        return TaskDelivery(.spilled(Spilled(loaded, message, source)))
    }

    /// The message; throws only if it is in a file that cannot be read.
    func message() throws(FlowError) -> Message {
        switch storage {
        case .loaded(let loaded): loaded.delivery.message
        case .spilled(let spilled): try spilled.message.load()
        }
    }

    /// How many bytes the body of the message has; 0 if it is not in memory.
    var bodySize: Int { if case .loaded(let loaded) = storage { loaded.delivery.message.body.count } else { 0 } }

    /// Identifies the delivery to the broker.
    var token: Delivery.Token {
        switch storage {
        case .loaded(let loaded): loaded.delivery.token
        case .spilled(let spilled): spilled.token
        }
    }

    /// The name of the queue that delivered it.
    var home: String {
        switch storage {
        case .loaded(let loaded): loaded.delivery.queue
        case .spilled(let spilled): spilled.source.home
        }
    }

    /// The number of earlier deliveries of the message: 0 for the first one.
    var earlierDeliveries: Int {
        switch storage {
        case .loaded(let loaded): loaded.delivery.earlierDeliveries
        case .spilled(let spilled): spilled.earlierDeliveries
        }
    }

    /// The batch whose queue it came from; nil for a suspect.
    var batch: Name? { queue?.batch }

    /// The task queue it came from; nil for a suspect.
    var queue: QueueKey? {
        switch storage {
        case .loaded(let loaded): loaded.queue
        case .spilled(let spilled): spilled.source.queue
        }
    }

    /// The permit that was taken with it.
    var permit: Delivery? { if case .loaded(let loaded) = storage { loaded.permit } else { nil } }

    /// The rate limit that its call has to keep.
    var limit: RateLimitKey? {
        switch storage {
        case .loaded(let loaded): loaded.limit
        case .spilled(let spilled): spilled.source.limit
        }
    }

    /// The number of the consumer that brought it; nil if it was taken alone.
    var consumer: Int? {
        switch storage {
        case .loaded(let loaded): loaded.consumer
        case .spilled(let spilled): spilled.source.consumer
        }
    }
}

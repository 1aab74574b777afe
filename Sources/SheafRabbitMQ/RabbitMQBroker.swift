import AMQPClient
public import SheafBroker
import Synchronization

/// A broker on RabbitMQ: quorum queues, streams as logs, exclusive queues as locks.
///
/// Up to three connections, each made when it is first needed and again when it was lost: one publishes and does nothing
/// else, because RabbitMQ stops reading from it while memory or disk are short; one consumes, acknowledges and holds the
/// locks; one declares, deletes and asks.
public final class RabbitMQBroker: Broker {
    let configuration: RabbitMQConfiguration
    let consuming: ConnectionSlot
    let control: ConnectionSlot
    private let publishing: ConnectionSlot
    let publisher: PublishingChannel
    /// Apart, because publishing to an exchange that was removed costs the channel.
    let delayer: PublishingChannel
    let ladder: DelayLadder
    let deliveries: DeliveryRegistry
    let lockTable: LockTable
    let headers: BrokerHeaders
    /// Known before the first connection is closed, so that whoever waits on any of them hears why.
    private let hasClosed = Atomic(false)

    private init(_ configuration: RabbitMQConfiguration) {
        self.configuration = configuration
        self.consuming = ConnectionSlot(configuration.connection, purpose: "consuming")
        self.control = ConnectionSlot(configuration.connection, purpose: "control")
        self.publishing = ConnectionSlot(configuration.connection, purpose: "publishing")
        self.publisher = PublishingChannel(publishing)
        self.delayer = PublishingChannel(publishing)
        self.ladder = DelayLadder(control, namespace: configuration.namespace)
        self.deliveries = DeliveryRegistry(consuming)
        self.lockTable = LockTable(consuming)
        self.headers = BrokerHeaders(ladderPrefix: ladder.prefix)
    }

    /// Connects to a broker; fails where it can not be reached or does not let this user in.
    ///
    /// Close it when it is no longer needed: its connections stay open by themselves.
    public static func connect(_ configuration: RabbitMQConfiguration) async throws -> RabbitMQBroker {
        let broker = RabbitMQBroker(configuration)
        do {
            _ = try await broker.control.connection()
        } catch {
            await broker.close()
            throw error
        }
        return broker
    }

    /// The alarm that the broker has told publishers of, or nil.
    public var blockedReason: String? { get async { await publishing.blockedReason } }

    /// What this is and where; asks the broker for its version.
    public var description: BrokerDescription {
        get async throws {
            let rules = ServerRules(version: try await control.connection().serverVersion ?? "unknown")
            return BrokerDescription(
                kind: "RabbitMQ",
                address: configuration.address,
                version: rules.version,
                notes: rules.notes
            )
        }
    }

    /// Closes all connections; what they held goes back to its queues.
    public func close() async {
        hasClosed.store(true, ordering: .releasing)
        async let consumed: Void = consuming.close()
        async let controlled: Void = control.close()
        async let published: Void = publishing.close()
        _ = await (consumed, controlled, published)
    }

    /// Runs a call and turns what it throws into the broker layer's errors.
    func perform<Value>(
        _ action: @autoclosure () -> String,
        _ body: () async throws -> Value
    ) async throws -> Value {
        do { return try await body() } catch { throw mapped(error, action()) }
    }

    /// The error that ends a consumer or a reader.
    func ending(_ error: AMQPError, of queue: String, _ action: String) async -> any Error {
        if isClosed(error) { return closedError }
        guard error.code == .consumerCancelled, await stillExists(queue) else {
            return BrokerError.ending(error, action)
        }
        return BrokerError(.connectionLost, "\(action): \(error.message), and the queue is there", underlying: error)
    }

    /// Whether a queue whose consumer the broker has ended is there all the same.
    ///
    /// The broker ends consumers of deleted queues, but also some whose acknowledgements came too late (from 4.3 on), or
    /// whose replica went down. Asked for a while, since a consumer hears of a deletion before it is done.
    private func stillExists(_ queue: String) async -> Bool {
        for _ in 0..<6 {
            do {
                _ = try await control.withChannel { try await $0.declareQueue(queue, passive: true) }
                try await Task.sleep(for: .milliseconds(200))
            } catch let error as AMQPError {
                return !error.isReply(404) || error.isNotYetUp
            } catch {
                // Consuming anew will tell.
                return true
            }
        }
        return true
    }

    private func mapped(_ error: any Error, _ action: String) -> any Error {
        isClosed(error) ? closedError : BrokerError.mapped(error, action)
    }

    /// Whether an error is the consequence of closing this broker.
    private func isClosed(_ error: any Error) -> Bool {
        guard let error = error as? AMQPError else { return false }
        guard error.isConnectionGone || error.code == .channelClosed && error.replyCode == nil else {
            return false
        }
        return hasClosed.load(ordering: .acquiring)
    }

    private var closedError: BrokerError {
        BrokerError(.closed, "the connections to \(configuration.address) were closed by this process")
    }
}

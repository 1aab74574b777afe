import AMQPClient
import SheafBroker
import SheafCore

/// The headers that RabbitMQ and the delay ladder add on the way, and what they say.
///
/// A delay is a death to RabbitMQ: the message expires in a queue of the ladder. That would count as its first death for
/// good, and a later one, of which alone Sheaf's users want to know, could not be told from it. So the ladder notes where
/// the message was going (``delayedTo``), and deaths in the ladder are left out here.
struct BrokerHeaders {
    /// Where a message of the ladder is going.
    static let delayedTo = "x-delayed-to"
    /// No queue delivers a message more often; a sender may have written another number into the header.
    private static let mostDeliveries: Int64 = 1_000_000
    private static let firstReason = "x-first-death-reason"
    private static let firstQueue = "x-first-death-queue"

    /// Begins the names of the ladder's queues.
    let ladderPrefix: String

    /// Whether a header of a queue's message is the sender's own.
    static func isSenders(_ name: String) -> Bool {
        guard name.hasPrefix("x-") else { return true }
        let brokers = [delayedTo, "x-death", "x-delivery-count", "x-acquired-count", "x-stream-offset"]
        return !(brokers.contains(name) || name.hasPrefix("x-first-death-") || name.hasPrefix("x-last-death-"))
    }

    /// The delivery as the broker layer hands it out.
    func delivery(_ delivery: AMQPDelivery, from queue: String) -> Delivery {
        let headers = delivery.headers
        let earlier = headers["x-delivery-count"]?.integer ?? (delivery.isRedelivered ? 1 : 0)
        return Delivery(
            message: Message(delivery, keeping: Self.isSenders),
            queue: queue,
            earlierDeliveries: Int(min(max(0, earlier), Self.mostDeliveries)),
            death: death(headers, in: queue),
            token: Delivery.Token(epoch: delivery.epoch, channel: delivery.channelID, tag: delivery.deliveryTag)
        )
    }

    /// The message of a log's entry, in which the first death stays readable as two flat headers.
    func entry(_ delivery: AMQPDelivery) -> Message {
        var message = Message(delivery) { name in
            Self.isSenders(name) || name == Self.firstReason || name == Self.firstQueue
        }
        guard let queue = message.string(Self.firstQueue), queue.hasPrefix(ladderPrefix) else { return message }
        message.headers.removeAll { $0.name == Self.firstReason || $0.name == Self.firstQueue }
        if let death = deathAfterDelay(delivery.headers) {
            message.headers.append(Message.Header(Self.firstReason, .string(death.reason)))
            message.headers.append(Message.Header(Self.firstQueue, .string(death.queue)))
        }
        return message
    }

    private func death(_ headers: AMQPTable, in queue: String) -> Delivery.Death? {
        guard let first = headers[Self.firstQueue]?.string else { return nil }
        if !first.hasPrefix(ladderPrefix) {
            return Delivery.Death(reason: headers[Self.firstReason]?.string ?? "", queue: first)
        }
        guard case .array(let deaths) = headers["x-death"] else {
            return headers[Self.delayedTo]?.string == queue ? nil : deathAfterDelay(headers)
        }
        // The newest comes first.
        for case .table(let death) in deaths.reversed() {
            if let place = death["queue"]?.string, !place.hasPrefix(ladderPrefix) {
                return Delivery.Death(reason: death["reason"]?.string ?? "", queue: place)
            }
        }
        return nil
    }

    /// The death of a message that was delayed before, where the list of deaths is gone, as it is in a log.
    ///
    /// It died where the ladder had sent it. Versions from 3.13 on tell the last reason; before, the limit is the likely one.
    private func deathAfterDelay(_ headers: AMQPTable) -> Delivery.Death? {
        guard let queue = headers[Self.delayedTo]?.string else { return nil }
        let last = headers["x-last-death-queue"]?.string == queue ? headers["x-last-death-reason"]?.string : nil
        return Delivery.Death(reason: last ?? "delivery_limit", queue: queue)
    }
}

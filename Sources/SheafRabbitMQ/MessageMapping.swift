import AMQPClient
import SheafBroker
import SheafCore

/// Interprets the headers that RabbitMQ and the delay ladder add to a message.
///
/// To RabbitMQ a delay is a death: the message expires in a queue of the ladder. That would remain its first death
/// permanently, and a later one, which is the only one of interest to Sheaf's users, could not be distinguished from
/// it. So the ladder records the target of the message (``delayedTo``), and deaths in the ladder are ignored here.
struct BrokerHeaders {
    /// The header that names the target of a message in the ladder.
    static let delayedTo = "x-delayed-to"
    /// An upper bound for the delivery count, because a sender may have written any number into the header.
    private static let mostDeliveries: Int64 = 1_000_000
    private static let firstReason = "x-first-death-reason"
    private static let firstQueue = "x-first-death-queue"

    /// The prefix of the names of the ladder's queues.
    let ladderPrefix: String

    /// Whether a header was set by the sender and not by the broker.
    static func isSenders(_ name: String) -> Bool {
        guard name.hasPrefix("x-") else { return true }
        let brokers = [delayedTo, "x-death", "x-delivery-count", "x-acquired-count", "x-stream-offset"]
        return !(brokers.contains(name) || name.hasPrefix("x-first-death-") || name.hasPrefix("x-last-death-"))
    }

    /// Converts a delivery of the client.
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

    /// Converts an entry of a log; the first death stays readable as two flat headers.
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
        // The newest is first.
        for case .table(let death) in deaths.reversed() {
            if let place = death["queue"]?.string, !place.hasPrefix(ladderPrefix) {
                return Delivery.Death(reason: death["reason"]?.string ?? "", queue: place)
            }
        }
        return nil
    }

    /// Returns the death of a message that was delayed before, if the list of deaths is missing, as it is in a log.
    ///
    /// It died in the queue to which the ladder had sent it. RabbitMQ 3.13 and later report the last reason; before
    /// that the delivery limit is the likely one.
    private func deathAfterDelay(_ headers: AMQPTable) -> Delivery.Death? {
        guard let queue = headers[Self.delayedTo]?.string else { return nil }
        let last = headers["x-last-death-queue"]?.string == queue ? headers["x-last-death-reason"]?.string : nil
        return Delivery.Death(reason: last ?? "delivery_limit", queue: queue)
    }
}

extension Message {
    /// Converts the message for AMQP; it is always persistent.
    func amqp(exchange: String = "", routingKey: String) -> AMQPMessage {
        var properties = AMQPProperties(deliveryMode: .persistent)
        if !id.isEmpty { properties.messageID = id }
        if !type.isEmpty { properties.type = type }
        if !contentType.isEmpty { properties.contentType = contentType }
        if !headers.isEmpty {
            properties.headers = AMQPTable(headers.map { AMQPTable.Entry(key: $0.name, value: $0.value.amqp) })
        }
        return AMQPMessage(exchange: exchange, routingKey: routingKey, properties: properties, body: body)
    }

    /// Converts the message of a delivery, with the headers that the filter accepts.
    ///
    /// Properties and headers that Sheaf does not support, such as arrays, are omitted.
    init(_ delivery: AMQPDelivery, keeping isKept: (String) -> Bool) {
        let properties = delivery.properties
        var headers: [Header] = []
        for entry in properties.headers?.entries ?? [] where isKept(entry.key) {
            if let value = HeaderValue(entry.value) { headers.append(Header(entry.key, value)) }
        }
        self.init(
            id: properties.messageID ?? "",
            type: properties.type ?? "",
            contentType: properties.contentType ?? "",
            headers: headers,
            body: delivery.body
        )
    }
}

extension Message.HeaderValue {
    fileprivate var amqp: AMQPValue {
        switch self {
        case .string(let text): .string(text)
        case .integer(let number): .int64(number)
        case .bool(let flag): .bool(flag)
        }
    }

    fileprivate init?(_ value: AMQPValue) {
        if case .bool(let flag) = value {
            self = .bool(flag)
        } else if let text = value.string {
            self = .string(text)
        } else if let number = value.integer {
            self = .integer(number)
        } else {
            return nil
        }
    }
}

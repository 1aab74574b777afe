import AMQPClient
import SheafBroker
import SheafCore

extension Message {
    /// The message as AMQP carries it; always persistent.
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

    /// Makes the message of a delivery, without the headers for which the filter says no.
    ///
    /// Properties and headers that Sheaf has no word for, such as arrays, are left out.
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

/// The method that announces a content: what the header and body frames after it belong to.
enum ContentAnnouncement: Equatable {
    case deliver(Envelope)
    case fetched(Envelope)
    case returned(ReturnedMessage)
}

/// What the broker says about a delivery before its content.
struct Envelope: Equatable {
    var consumerTag = ""
    var deliveryTag: UInt64
    var isRedelivered: Bool
    var exchange: String
    var routingKey: String
}

/// What the broker says about a message that no queue took.
struct ReturnedMessage: Equatable {
    var replyCode: UInt16
    var replyText: String
    var exchange: String
    var routingKey: String
}

/// A complete content.
struct Content: Equatable {
    var announcement: ContentAnnouncement
    var properties: AMQPProperties
    var body: [UInt8]
}

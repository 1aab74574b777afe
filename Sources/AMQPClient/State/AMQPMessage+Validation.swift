extension AMQPMessage {
    /// Checks a message before its first frame: what fails later than that costs the connection.
    func validate(frameMax: Int, maximumBodySize: Int) throws(AMQPError) {
        try OutboundMethod.checkShortText(self.exchange, "exchange name")
        try OutboundMethod.checkShortText(self.routingKey, "routing key")
        guard self.body.count <= maximumBodySize else {
            throw AMQPError(
                .invalidArgument,
                "the body has \(self.body.count) bytes, more than the \(maximumBodySize) allowed"
            )
        }
        let size = try self.properties.encodedSize()
        guard size <= frameMax - 64 else {
            throw AMQPError(.invalidArgument, "properties of \(size) bytes do not fit a frame of \(frameMax)")
        }
    }
}

extension AMQPProperties {
    /// The most bytes that the properties take on the wire.
    func encodedSize() throws(AMQPError) -> Int {
        var size = 32
        try Self.add(self.contentType, "content type", &size)
        try Self.add(self.contentEncoding, "content encoding", &size)
        try Self.add(self.correlationID, "correlation ID", &size)
        try Self.add(self.replyTo, "reply-to", &size)
        try Self.add(self.expiration, "expiration", &size)
        try Self.add(self.messageID, "message ID", &size)
        try Self.add(self.type, "type", &size)
        try Self.add(self.userID, "user ID", &size)
        try Self.add(self.appID, "app ID", &size)
        if let headers = self.headers { size += 4 + (try headers.encodedSize()) }
        return size
    }

    private static func add(_ text: String?, _ part: String, _ size: inout Int) throws(AMQPError) {
        guard let text else { return }
        try OutboundMethod.checkShortText(text, part)
        size += 1 + text.utf8.count
    }
}

extension OutboundMethod {
    /// The bytes reserved for the parts of a frame other than a table: method, short strings and the frame itself.
    private static let reservedSize = 1024

    /// Checks for errors that librabbitmq would find too late, or that would make the broker close the connection.
    func validate(frameMax: Int) throws(AMQPError) {
        for (part, text) in shortStrings { try Self.checkShortString(text, part) }
        if let arguments = self.arguments {
            let size = try arguments.encodedSize()
            guard size <= frameMax - Self.reservedSize else {
                throw AMQPError(
                    .invalidArgument,
                    "arguments of \(size) bytes do not fit into a frame of \(frameMax) bytes"
                )
            }
        }
    }

    static func checkShortString(_ text: String, _ part: String) throws(AMQPError) {
        guard text.utf8.count <= 255 else {
            throw AMQPError(.invalidArgument, "the \(part) has \(text.utf8.count) bytes; the limit is 255")
        }
    }

    private var shortStrings: [(String, String)] {
        switch self {
        case .queueDeclare(let queue): [("queue name", queue.name)]
        case .queueDelete(let name, _, _), .queuePurge(let name), .get(let name): [("queue name", name)]
        case .queueBind(let binding), .queueUnbind(let binding):
            [
                ("queue name", binding.queue), ("exchange name", binding.exchange),
                ("routing key", binding.routingKey),
            ]
        case .exchangeDeclare(let exchange): [("exchange name", exchange.name), ("exchange type", exchange.type)]
        case .exchangeDelete(let name, _): [("exchange name", name)]
        case .consume(let queue, let tag, _, _): [("queue name", queue), ("consumer tag", tag)]
        default: []
        }
    }

    private var arguments: AMQPTable? {
        switch self {
        case .queueDeclare(let queue): queue.arguments
        case .queueBind(let binding), .queueUnbind(let binding): binding.arguments
        case .exchangeDeclare(let exchange): exchange.arguments
        case .consume(_, _, _, let arguments): arguments
        default: nil
        }
    }
}

extension AMQPMessage {
    /// Checks a message before its first frame is sent, since an error after that breaks the connection.
    func validate(frameMax: Int, maximumBodySize: Int) throws(AMQPError) {
        try OutboundMethod.checkShortString(exchange, "exchange name")
        try OutboundMethod.checkShortString(routingKey, "routing key")
        guard body.count <= maximumBodySize else {
            throw AMQPError(
                .invalidArgument,
                "the body has \(body.count) bytes; the limit is \(maximumBodySize)"
            )
        }
        let size = try properties.encodedSize()
        guard size <= frameMax - 64 else {
            throw AMQPError(
                .invalidArgument,
                "properties of \(size) bytes do not fit into a frame of \(frameMax) bytes"
            )
        }
    }
}

extension AMQPProperties {
    /// Returns the maximum size of the properties on the wire, in bytes.
    func encodedSize() throws(AMQPError) -> Int {
        var size = 32
        try Self.add(contentType, "content type", &size)
        try Self.add(contentEncoding, "content encoding", &size)
        try Self.add(correlationID, "correlation ID", &size)
        try Self.add(replyTo, "reply-to", &size)
        try Self.add(expiration, "expiration", &size)
        try Self.add(messageID, "message ID", &size)
        try Self.add(type, "type", &size)
        try Self.add(userID, "user ID", &size)
        try Self.add(appID, "app ID", &size)
        if let headers = self.headers { size += 4 + (try headers.encodedSize()) }
        return size
    }

    private static func add(_ text: String?, _ part: String, _ size: inout Int) throws(AMQPError) {
        guard let text else { return }
        try OutboundMethod.checkShortString(text, part)
        size += 1 + text.utf8.count
    }
}

extension AMQPTable {
    /// The maximum nesting depth of tables and lists, sent or received.
    static let maximumDepth = 64

    /// Returns the size of the table on the wire in bytes, without the four bytes of its length.
    ///
    /// - Throws: `invalidArgument` if a name is too long or the nesting too deep.
    func encodedSize(depth: Int = 0) throws(AMQPError) -> Int {
        guard depth < Self.maximumDepth else {
            throw AMQPError(.invalidArgument, "a table is nested deeper than \(Self.maximumDepth) levels")
        }
        var size = 0
        for entry in entries {
            let count = entry.key.utf8.count
            guard count <= 255 else {
                throw AMQPError(.invalidArgument, "the table key \"\(entry.key.prefix(32))…\" has \(count) bytes")
            }
            size += 1 + count + (try entry.value.encodedSize(depth: depth))
        }
        return size
    }
}

extension AMQPValue {
    /// Returns the size of the value on the wire in bytes, including the byte of its kind.
    fileprivate func encodedSize(depth: Int) throws(AMQPError) -> Int {
        switch self {
        case .null: return 1
        case .bool, .int8, .uint8: return 2
        case .int16, .uint16: return 3
        case .int32, .uint32, .float: return 5
        case .decimal: return 6
        case .int64, .uint64, .double, .timestamp: return 9
        case .string(let text): return 5 + text.utf8.count
        case .bytes(let bytes): return 5 + bytes.count
        case .table(let table): return 5 + (try table.encodedSize(depth: depth + 1))
        case .array(let values):
            guard depth + 1 < AMQPTable.maximumDepth else {
                throw AMQPError(.invalidArgument, "a list is nested deeper than \(AMQPTable.maximumDepth) levels")
            }
            var size = 5
            for value in values { size += try value.encodedSize(depth: depth + 1) }
            return size
        }
    }
}

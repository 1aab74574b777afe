extension OutboundMethod {
    /// What a frame may hold besides a table: method, short texts and the frame itself.
    private static let roomForTheRest = 1024

    /// Checks what librabbitmq would find too late or the broker would answer by closing the connection.
    func validate(frameMax: Int) throws(AMQPError) {
        for (part, text) in self.shortTexts { try Self.checkShortText(text, part) }
        if let arguments = self.arguments {
            let size = try arguments.encodedSize()
            guard size <= frameMax - Self.roomForTheRest else {
                throw AMQPError(.invalidArgument, "arguments of \(size) bytes do not fit a frame of \(frameMax)")
            }
        }
    }

    static func checkShortText(_ text: String, _ part: String) throws(AMQPError) {
        guard text.utf8.count <= 255 else {
            throw AMQPError(.invalidArgument, "the \(part) has \(text.utf8.count) bytes, more than 255")
        }
    }

    private var shortTexts: [(String, String)] {
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

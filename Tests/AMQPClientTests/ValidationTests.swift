import Testing

@testable import AMQPClient

struct ValidationTests {
    private static let long = String(repeating: "x", count: 256)

    static let wrongMessages = [
        AMQPMessage(exchange: long, routingKey: "", body: []),
        AMQPMessage(routingKey: long, body: []),
        AMQPMessage(routingKey: "", properties: AMQPProperties(contentType: long), body: []),
        AMQPMessage(routingKey: "", properties: AMQPProperties(correlationID: long), body: []),
        AMQPMessage(routingKey: "", properties: AMQPProperties(messageID: long), body: []),
        AMQPMessage(
            routingKey: "",
            properties: AMQPProperties(headers: ["x": .bytes(Array(repeating: 1, count: 5_000))]),
            body: []
        ),
        AMQPMessage(routingKey: "", body: Array(repeating: 1, count: 1_001)),
    ]

    @Test("A message is validated before it is sent", arguments: wrongMessages)
    func invalidMessages(message: AMQPMessage) {
        let error = #expect(throws: AMQPError.self) { try message.validate(frameMax: 4_096, maximumBodySize: 1_000) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("The longest allowed strings are valid")
    func longestStrings() throws {
        let longest = String(repeating: "x", count: 255)
        let properties = AMQPProperties(contentType: longest, messageID: longest, appID: longest)
        let message = AMQPMessage(exchange: longest, routingKey: longest, properties: properties, body: [1])
        try message.validate(frameMax: 4_096, maximumBodySize: 1)
    }

    @Test("Arguments must fit into a frame")
    func argumentsFitFrame() {
        let arguments: AMQPTable = ["x": .bytes(Array(repeating: 1, count: 4_000))]
        let method = OutboundMethod.consume("q", tag: "t", exclusive: false, arguments: arguments)
        #expect(throws: AMQPError.self) { try method.validate(frameMax: 4_096) }
        #expect(throws: Never.self) { try method.validate(frameMax: 8_192) }
    }

    @Test("FIFO returns elements in order")
    func fifoOrder() {
        var queue = FIFO<Int>()
        for number in 0..<1_000 {
            queue.append(number)
            if number % 3 == 2 { #expect(queue.popFirst() == number / 3) }
        }
        queue.keep { $0 % 2 == 0 }
        #expect(queue.first == 334)
        #expect(queue.drain() == Array(stride(from: 334, to: 1_000, by: 2)))
        #expect(queue.popFirst() == nil)
    }
}

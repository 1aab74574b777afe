import Testing

@testable import AMQPClient

struct FrameAssemblerTests {
    private let announcement = ContentAnnouncement.deliver(
        Envelope(consumerTag: "c", deliveryTag: 1, isRedelivered: false, exchange: "", routingKey: "q")
    )

    @Test("The frames of a body are assembled", arguments: [[], [1], [3, 3, 2], [1, 0, 1]] as [[Int]])
    func assemblesBody(sizes: [Int]) throws {
        var assembler = FrameAssembler()
        let body = (0..<sizes.reduce(0, +)).map { UInt8($0) }
        try assembler.begin(announcement)
        let properties = AMQPProperties(messageID: "m")
        var content = try assembler.header(bodySize: UInt64(body.count), properties: properties)
        var rest = body[...]
        for size in sizes {
            #expect(content == nil)
            let part = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            content = try part.withUnsafeBytes { try assembler.body($0) }
        }
        #expect(content == Content(announcement: announcement, properties: properties, body: body))
        #expect(assembler.isIdle)
    }

    @Test("Frames out of order are refused")
    func refusesFramesOutOfOrder() throws {
        var assembler = FrameAssembler()
        #expect(throws: AMQPError.self) { try assembler.header(bodySize: 1, properties: AMQPProperties()) }
        #expect(throws: AMQPError.self) { try [1].withUnsafeBytes { try assembler.body($0) } }
        try assembler.begin(announcement)
        #expect(throws: AMQPError.self) { try assembler.begin(announcement) }
        _ = try assembler.header(bodySize: 1, properties: AMQPProperties())
        #expect(throws: AMQPError.self) { try [1, 2].withUnsafeBytes { try assembler.body($0) } }
    }

    @Test("A huge declared body size reserves little memory")
    func hugeDeclaredSize() throws {
        var assembler = FrameAssembler()
        try assembler.begin(announcement)
        #expect(try assembler.header(bodySize: .max, properties: AMQPProperties()) == nil)
        #expect(try [UInt8(1)].withUnsafeBytes { try assembler.body($0) } == nil)
    }
}

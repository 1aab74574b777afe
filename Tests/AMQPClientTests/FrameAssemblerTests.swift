import Testing

@testable import AMQPClient

struct FrameAssemblerTests {
    private let announcement = ContentAnnouncement.deliver(
        Envelope(consumerTag: "c", deliveryTag: 1, isRedelivered: false, exchange: "", routingKey: "q")
    )

    @Test(arguments: [[], [1], [3, 3, 2], [1, 0, 1]] as [[Int]])
    func putsTheFramesOfABodyTogether(sizes: [Int]) throws {
        var assembler = FrameAssembler()
        let body = (0..<sizes.reduce(0, +)).map { UInt8($0) }
        try assembler.begin(self.announcement)
        let properties = AMQPProperties(messageID: "m")
        var content = try assembler.header(bodySize: UInt64(body.count), properties: properties)
        var rest = body[...]
        for size in sizes {
            #expect(content == nil)
            let part = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            content = try part.withUnsafeBytes { try assembler.body($0) }
        }
        #expect(content == Content(announcement: self.announcement, properties: properties, body: body))
        #expect(assembler.isIdle)
    }

    @Test func refusesFramesOutOfTurn() throws {
        var assembler = FrameAssembler()
        #expect(throws: AMQPError.self) { try assembler.header(bodySize: 1, properties: AMQPProperties()) }
        #expect(throws: AMQPError.self) { try [1].withUnsafeBytes { try assembler.body($0) } }
        try assembler.begin(self.announcement)
        #expect(throws: AMQPError.self) { try assembler.begin(self.announcement) }
        _ = try assembler.header(bodySize: 1, properties: AMQPProperties())
        #expect(throws: AMQPError.self) { try [1, 2].withUnsafeBytes { try assembler.body($0) } }
    }

    @Test func aHugeClaimReservesLittle() throws {
        var assembler = FrameAssembler()
        try assembler.begin(self.announcement)
        #expect(try assembler.header(bodySize: .max, properties: AMQPProperties()) == nil)
        #expect(try [UInt8(1)].withUnsafeBytes { try assembler.body($0) } == nil)
    }
}

import SheafCore
import Testing

@Suite("Messages as bytes") struct MessageCodingTests {
    @Test("Headers are encoded and decoded unchanged, and damaged bytes are an error")
    func headers() throws {
        let headers = [
            Message.Header("a", .string("ü")), Message.Header("", .integer(.min)), Message.Header("b", .integer(.max)),
            Message.Header("c", .integer(-1)), Message.Header("d", .bool(true)), Message.Header("e", .bool(false)),
            Message.Header(String(repeating: "n", count: 255), .string(String(repeating: "v", count: 70_000))),
        ]
        let bytes = HeaderCoding.encode(headers)
        #expect(try HeaderCoding.decode(bytes) == headers)
        for count in [1, 2, bytes.count - 1] {
            #expect(throws: UnreadableMessage.self) { try HeaderCoding.decode(Array(bytes.prefix(count))) }
        }
    }

    @Test("A message is encoded and decoded unchanged, and a part of it is an error or has less of the body")
    func messages() throws {
        for body in [[], Array("{}".utf8), [UInt8](repeating: 255, count: 70_000)] {
            let message = Message(
                id: "i",
                type: "task",
                contentType: "application/json",
                headers: [.init("a", .integer(7)), .init("ü", .string(""))],
                body: body
            )
            let bytes = message.encoded
            #expect(try Message(encoded: bytes) == message)
            for count in [0, 1, 5, bytes.count - body.count - 1] {
                #expect(throws: UnreadableMessage.self) { try Message(encoded: Array(bytes.prefix(count))) }
            }
        }
        #expect(try Message(encoded: Message().encoded) == Message())
    }
}

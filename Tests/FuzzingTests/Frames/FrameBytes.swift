/// Functions that build AMQP 0-9-1 frames as a broker sends them.
enum FrameBytes {
    /// Builds a frame: type, channel, size of the payload, payload and end marker.
    static func frame(_ type: UInt8, _ channel: UInt16, _ payload: [UInt8]) -> [UInt8] {
        [type] + number(channel) + number(UInt32(payload.count)) + payload + [0xCE]
    }

    /// Builds a method frame with its arguments.
    static func method(_ channel: UInt16, _ group: UInt16, _ method: UInt16, _ arguments: [UInt8] = []) -> [UInt8] {
        frame(1, channel, number(group) + number(method) + arguments)
    }

    /// Builds a header frame with a content type, headers and a type, and a body in two frames.
    static func content(_ channel: UInt16, _ body: [UInt8]) -> [UInt8] {
        let headers =
            short("sheaf-flow") + [UInt8(ascii: "S")] + long(Array("f".utf8)) + short("n") + [UInt8(ascii: "l")]
            + number(UInt64(7))
        let properties = short("text/plain") + long(headers) + short("task")
        let header = number(UInt16(60)) + number(UInt16(0)) + number(UInt64(body.count)) + number(UInt16(0xA020))
        let half = body.count / 2
        return frame(2, channel, header + properties) + frame(3, channel, Array(body[..<half]))
            + frame(3, channel, Array(body[half...]))
    }

    static func short(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + text.utf8 }

    static func long(_ bytes: [UInt8]) -> [UInt8] { number(UInt32(bytes.count)) + bytes }

    static func number<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// Returns a broker's answer to a method; empty if it has no answer.
    static func answer(to group: UInt16, _ method: UInt16, on channel: UInt16) -> [UInt8] {
        switch (group, method) {
        case (10, 11): Self.method(0, 10, 30, number(UInt16(2047)) + number(UInt32(131_072)) + number(UInt16(60)))
        case (10, 40): Self.method(0, 10, 41, short(""))
        case (10, 50): Self.method(0, 10, 51)
        case (20, 10): Self.method(channel, 20, 11, long([]))
        case (20, 40): Self.method(channel, 20, 41)
        case (50, 10): Self.method(channel, 50, 11, short("q") + number(UInt32(3)) + number(UInt32(1)))
        case (60, 10): Self.method(channel, 60, 11)
        case (60, 20): Self.method(channel, 60, 21, short("tag-1")) + deliveries(on: channel)
        case (85, 10): Self.method(channel, 85, 11)
        default: []
        }
    }

    /// The first frame that a broker sends.
    static let start: [UInt8] = {
        let properties =
            short("product") + [UInt8(ascii: "S")] + long(Array("RabbitMQ".utf8)) + short("version")
            + [UInt8(ascii: "S")] + long(Array("3.12.0".utf8))
        return method(
            0,
            10,
            10,
            [0, 9] + long(properties) + long(Array("PLAIN AMQPLAIN".utf8)) + long(Array("en_US".utf8))
        )
    }()

    /// Builds three deliveries to the consumer.
    private static func deliveries(on channel: UInt16) -> [UInt8] {
        var bytes: [UInt8] = []
        for tag in 1...3 {
            bytes += method(channel, 60, 60, short("tag-1") + number(UInt64(tag)) + [0] + short("") + short("q"))
            bytes += content(channel, Array("record \(tag)".utf8))
        }
        return bytes
    }

    /// Builds frames that a broker may send unasked.
    ///
    /// After most of them the client stops reading, so each has to come first in some test.
    static func surprises(on channel: UInt16) -> [[UInt8]] {
        let returned = method(channel, 60, 50, number(UInt16(312)) + short("NO_ROUTE") + short("") + short("q"))
        return [
            frame(8, 0, []) + method(0, 10, 60, short("low on memory")) + method(0, 10, 61),
            method(channel, 20, 20, [0]) + method(channel, 20, 20, [1]),
            method(channel, 60, 80, number(UInt64(1)) + [1]),
            method(channel, 60, 120, number(UInt64(2)) + [0]),
            returned + content(channel, [1, 2, 3]),
            method(channel, 60, 30, short("tag-1") + [1]),
            method(channel, 20, 40, number(UInt16(404)) + short("NOT_FOUND") + number(UInt32(0))),
            method(0, 10, 50, number(UInt16(320)) + short("CONNECTION_FORCED") + number(UInt32(0))),
        ]
    }
}

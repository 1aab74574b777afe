import AMQPClient
import Testing

extension BrokerTests {
    struct BodySizeTests {
        private static let frame = 131_072 - 8

        static let sizes = [
            0, 1, 32_768, 32_769, 65_528, 65_529, frame - 1, frame, frame + 1, 2 * frame, 1 << 20, 8 << 20,
        ]

        @Test("A body of any size is delivered unchanged", arguments: sizes)
        func bodySizes(size: Int) async throws {
            try await TestBroker.withQueue { channel, queue in
                let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
                let small = AMQPMessage(routingKey: queue, body: [9])
                try await channel.publish([AMQPMessage(routingKey: queue, body: body), small], mandatory: true)
                let consumer = try await channel.consume(queue)
                let deliveries = try await consumer.collect(2)
                #expect(deliveries[0].body == body)
                #expect(deliveries[1].body == [9])
                try await channel.acknowledge(deliveries.map(\.deliveryTag))
            }
        }

        /// Without splitting, the kernel would delay the last frame of such a body for 200 ms; normally both take under
        /// 1 ms.
        @Test(
            "A body that fills its frames exactly is confirmed without delay",
            arguments: [4_096, 8_192, 131_072],
            [1, 3]
        )
        func exactFrames(frameSize: Int, frames: Int) async throws {
            try await TestBroker.withQueue({ $0.maximumFrameSize = frameSize }) { channel, queue in
                let full = frames * (frameSize - 8)
                var durations: [Int: [Duration]] = [:]
                for size in Array(repeating: [full, full - 1], count: 20).joined() {
                    let message = AMQPMessage(routingKey: queue, body: Array(repeating: 1, count: size))
                    let start = ContinuousClock.now
                    try await channel.publish([message])
                    durations[size, default: []].append(.now - start)
                }
                let medians = [full, full - 1].map { durations[$0, default: []].sorted()[10] }
                #expect(medians[0] < medians[1] * 20)
            }
        }

        @Test("A body above the size limit is refused before it is sent")
        func bodyAboveLimit() async throws {
            try await TestBroker.withQueue({ $0.maximumBodySize = 100 }) { channel, queue in
                let large = AMQPMessage(routingKey: queue, body: Array(repeating: 1, count: 101))
                let error = await errorOf { try await channel.publish([large]) }
                #expect(error?.code == .invalidArgument)
                try await channel.publish([AMQPMessage(routingKey: queue, body: Array(repeating: 1, count: 100))])
            }
        }

        @Test("Large and small bodies on several channels do not mix")
        func bodiesOnSeveralChannels() async throws {
            try await TestBroker.withQueue { channel, queue in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<6 {
                        let other = try await channel.connection.openChannel()
                        try await other.enableConfirms()
                        let size = number.isMultiple(of: 2) ? 1_000_000 : 10
                        let message = AMQPMessage(routingKey: queue, body: Array(repeating: UInt8(number), count: size))
                        group.addTask {
                            for _ in 0..<5 { try await other.publish([message, message], mandatory: true) }
                            try await other.close()
                        }
                    }
                    try await group.waitForAll()
                }
                let deliveries = try await channel.consume(queue).collect(60)
                #expect(deliveries.allSatisfy { delivery in delivery.body.allSatisfy { $0 == delivery.body[0] } })
                try await channel.acknowledge(upTo: 60)
            }
        }
    }
}

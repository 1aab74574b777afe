import Testing

@testable import AMQPClient

/// Tests with mutated frames: the connection may end, but the process must not crash and callers must not hang.
@Suite("Mutated frames", .serialized, .timeLimit(.minutes(4))) struct FrameTests {
    private static let patience = Duration.seconds(20)

    /// Connects, consumes and reads until the given number of messages or the end; returns the number of messages.
    private func use(_ server: MutatingServer, upTo most: Int = .max) async throws(AMQPError) -> Int {
        var configuration = AMQPConfiguration(host: "127.0.0.1", port: server.port)
        configuration.handshakeTimeout = .milliseconds(300)
        configuration.rpcTimeout = .milliseconds(300)
        configuration.closeTimeout = .milliseconds(300)
        let connection = try await AMQPConnection.connect(configuration)
        var count = 0
        do throws(AMQPError) {
            let channel = try await connection.openChannel()
            try await channel.enableConfirms()
            try await channel.setPrefetch(10)
            try await channel.declareQueue("q")
            let consumer = try await channel.consume("q", tag: "tag-1")
            while count < most, let batch = try await consumer.next() { count += batch.count }
        } catch {
            // The mutated bytes decide which error it is.
            #expect(!error.message.isEmpty)
        }
        await connection.close()
        return count
    }

    @Test("A body that exceeds the limit is truncated") func endlessBody() throws {
        var assembler = FrameAssembler()
        try assembler.begin(.deliver(Envelope(deliveryTag: 1, isRedelivered: false, exchange: "", routingKey: "q")))
        let part = [UInt8](repeating: 1, count: 1 << 20)
        let size = FrameAssembler.largestBody + (3 << 20)
        #expect(try assembler.header(bodySize: UInt64(size), properties: AMQPProperties()) == nil)
        for _ in 1..<size >> 20 {
            let content = try part.withUnsafeBytes { try assembler.body($0) }
            #expect(content == nil)
        }
        let content = try part.withUnsafeBytes { try assembler.body($0) }
        #expect(content?.body.count == FrameAssembler.largestBody)
        #expect(assembler.isIdle)
    }

    @Test("Unchanged frames arrive") func unchanged() async throws {
        let server = try MutatingServer(seed: 1, isChanging: false)
        #expect(try await use(server, upTo: 3) == 3)
    }

    @Test("Mutated frames lead to an error or an end in time", arguments: 0..<8) func changed(part: UInt64) async throws
    {
        for seed in part * 25..<(part + 1) * 25 {
            let server = try MutatingServer(seed: seed &* 0x9E37_79B9_7F4A_7C15)
            let start = ContinuousClock.now
            do throws(AMQPError) {
                #expect(try await use(server) <= 6, "seed \(seed)")
            } catch {
                #expect(!error.message.isEmpty, "seed \(seed)")
            }
            #expect(ContinuousClock.now - start < Self.patience, "seed \(seed)")
        }
    }
}

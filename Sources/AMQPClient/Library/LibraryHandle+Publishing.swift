import CRabbitMQ
import Glibc

extension LibraryHandle {
    /// The largest body frame we send: small enough for one look at the socket, whatever the broker allows.
    var bodyFrameSize: Int { min(self.frameMax - 8, 65_536 - 8) }

    /// Whether a body goes out frame by frame.
    ///
    /// Also one that fills its frames exactly: the library would leave the last one in the kernel for 200 ms.
    func mustSplit(_ body: [UInt8]) -> Bool {
        body.count > 32_768 || (!body.isEmpty && body.count % (self.frameMax - 8) == 0)
    }

    /// Writes a whole message that must not be split.
    func publish(_ message: AMQPMessage, on channel: UInt16, mandatory: Bool) throws(AMQPError) {
        self.arena.reset()
        errno = 0
        var properties = self.arena.properties(message.properties)
        let exchange = self.arena.bytes(message.exchange)
        let routingKey = self.arena.bytes(message.routingKey)
        let status = message.body.withUnsafeBytes { body in
            amqp_basic_publish(
                self.state,
                channel,
                exchange,
                routingKey,
                mandatory ? 1 : 0,
                0,
                &properties,
                amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            )
        }
        try self.checkWrite(status)
    }

    /// Writes the method and the header of a message; its body frames must follow.
    func beginPublish(_ message: AMQPMessage, on channel: UInt16, mandatory: Bool) throws(AMQPError) {
        self.arena.reset()
        errno = 0
        var method = amqp_basic_publish_t()
        method.exchange = self.arena.bytes(message.exchange)
        method.routing_key = self.arena.bytes(message.routingKey)
        method.mandatory = mandatory ? 1 : 0
        try self.checkWrite(amqp_send_method(self.state, channel, AMQP_BASIC_PUBLISH_METHOD, &method))
        var properties = self.arena.properties(message.properties)
        let status = withUnsafeMutablePointer(to: &properties) { properties in
            var frame = amqp_frame_t()
            frame.frame_type = UInt8(AMQP_FRAME_HEADER)
            frame.channel = channel
            frame.payload.properties.class_id = UInt16(AMQP_BASIC_CLASS)
            frame.payload.properties.body_size = UInt64(message.body.count)
            frame.payload.properties.decoded = UnsafeMutableRawPointer(properties)
            return amqp_send_frame(self.state, &frame)
        }
        try self.checkWrite(status)
    }

    /// Writes one frame of a body and returns where the next one begins.
    func sendBody(_ body: [UInt8], from offset: Int, on channel: UInt16) throws(AMQPError) -> Int {
        let end = min(body.count, offset + self.bodyFrameSize)
        errno = 0
        let status = body.withUnsafeBytes { bytes in
            let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
            var frame = amqp_frame_t()
            frame.frame_type = UInt8(AMQP_FRAME_BODY)
            frame.channel = channel
            frame.payload.body_fragment = amqp_bytes_t(
                len: part.count,
                bytes: UnsafeMutableRawPointer(mutating: part.baseAddress)
            )
            return amqp_send_frame(self.state, &frame)
        }
        try self.checkWrite(status)
        return end
    }

    private func checkWrite(_ status: Int32) throws(AMQPError) {
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(status: status, .connectionLost, "the connection is lost while publishing")
        }
    }
}

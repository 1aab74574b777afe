import CRabbitMQ
import Glibc

/// A connection of librabbitmq: the one place that calls it, owned by one actor and so by one thread.
final class LibraryHandle {
    let state: amqp_connection_state_t
    let arena = ByteArena()
    /// The largest frame, as agreed with the broker.
    private(set) var frameMax = 131_072
    /// The highest channel number, as agreed with the broker.
    private(set) var channelMax: UInt16 = 2047
    var contentTypes = StringCache()
    var consumerTags = StringCache()
    var exchanges = StringCache()
    var routingKeys = StringCache()

    init() throws(AMQPError) {
        guard let state = amqp_new_connection() else {
            throw AMQPError(.connectionFailed, "no memory for a connection")
        }
        self.state = state
    }

    deinit { amqp_destroy_connection(self.state) }

    /// The descriptor of the socket, or -1 once the library has closed it.
    var socket: Int32 { amqp_get_sockfd(self.state) }

    /// Whether frames have arrived that `receive` would give without waiting for the socket.
    var hasBufferedInput: Bool { amqp_frames_enqueued(self.state) != 0 || amqp_data_in_buffer(self.state) != 0 }

    /// What the socket is ready for; errors count as both, so that the next call reports them.
    func look() -> (isReadable: Bool, isWritable: Bool) {
        var entry = pollfd(fd: self.socket, events: Int16(POLLIN | POLLOUT), revents: 0)
        _ = poll(&entry, 1, 0)
        return (entry.revents & ~Int16(POLLOUT) != 0, entry.revents & ~Int16(POLLIN) != 0)
    }

    /// Whether the socket takes at least as much as one of our writes.
    func isWritable() -> Bool {
        var entry = pollfd(fd: self.socket, events: Int16(POLLOUT), revents: 0)
        // Errors count as writable: the write then reports them.
        return poll(&entry, 1, 0) > 0
    }

    /// Gathers what is written into full packets, until it is said that they are to go.
    func setCorked(_ isCorked: Bool) { StreamSocket.setCorked(self.socket, isCorked) }

    /// Logs in and returns what the broker says about itself.
    func logIn(_ configuration: AMQPConfiguration) throws(AMQPError) -> AMQPTable {
        var timeout = configuration.handshakeTimeout.timeValue
        amqp_set_handshake_timeout(self.state, &timeout)
        self.arena.reset()
        var properties = self.arena.table([
            "connection_name": .string(configuration.connectionName),
            "product": "sheaf",
            "capabilities": [
                "authentication_failure_close": true, "basic.nack": true, "connection.blocked": true,
                "consumer_cancel_notify": true, "publisher_confirms": true,
            ],
        ])
        errno = 0
        let frameMax = Int32(configuration.maximumFrameSize)
        let heartbeat = Int32(clamping: max(1, configuration.heartbeat.components.seconds))
        let reply = configuration.virtualHost.withCString { virtualHost in
            configuration.user.withCString { user in
                configuration.password.reveal().withCString { password in
                    crmq_login_plain(self.state, virtualHost, 2047, frameMax, heartbeat, &properties, user, password)
                }
            }
        }
        try Self.check(reply, configuration)
        self.frameMax = Int(amqp_get_frame_max(self.state))
        self.channelMax = UInt16(clamping: amqp_get_channel_max(self.state))
        return amqp_get_server_properties(self.state).map { AMQPTable($0.pointee) } ?? AMQPTable()
    }

    private static func check(_ reply: amqp_rpc_reply_t, _ configuration: AMQPConfiguration) throws(AMQPError) {
        let place = configuration.endpoint
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_SERVER_EXCEPTION:
            let id = reply.reply.id
            guard id == AMQP_CONNECTION_CLOSE_METHOD, let decoded = reply.reply.decoded else {
                throw AMQPError(.connectionFailed, "\(place) refused the connection")
            }
            let close = decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            throw Self.refusal(close.reply_code, close.reply_text.text, configuration)
        default:
            if reply.library_error == AMQP_STATUS_TIMEOUT.rawValue {
                throw AMQPError(
                    .connectionFailed,
                    "\(place) accepts connections but did not answer within \(configuration.handshakeTimeout)",
                    libraryStatus: reply.library_error
                )
            }
            let error = AMQPError(status: reply.library_error, .connectionFailed, "cannot log in at \(place)")
            throw error.advising(configuration)
        }
    }

    private static func refusal(_ code: UInt16, _ text: String, _ configuration: AMQPConfiguration) -> AMQPError {
        let place = configuration.endpoint
        switch Int32(code) {
        case AMQP_ACCESS_REFUSED:
            return AMQPError(
                .accessRefused,
                "\(place) refused the user \"\(configuration.user)\": \(text)",
                replyCode: code
            )
        case AMQP_NOT_ALLOWED:
            return AMQPError(
                .accessRefused,
                "\(place) refused the virtual host \"\(configuration.virtualHost)\""
                    + " for the user \"\(configuration.user)\": \(text)",
                replyCode: code
            )
        default:
            return AMQPError(.connectionFailed, "\(place) refused the connection: \(text)", replyCode: code)
        }
    }
}

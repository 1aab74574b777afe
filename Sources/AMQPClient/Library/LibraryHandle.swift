import CRabbitMQ
import Glibc

/// A connection of librabbitmq, the only type that calls it; it is owned by one actor and therefore by one thread.
final class LibraryHandle {
    let state: amqp_connection_state_t
    let arena = ByteArena()
    /// The negotiated maximum frame size in bytes.
    private(set) var frameMax = 131_072
    /// The negotiated highest channel number.
    private(set) var channelMax: UInt16 = 2047
    var contentTypes = StringCache()
    var consumerTags = StringCache()
    var exchanges = StringCache()
    var routingKeys = StringCache()

    init() throws(AMQPError) {
        guard let state = amqp_new_connection() else {
            throw AMQPError(.connectionFailed, "out of memory while creating a connection")
        }
        self.state = state
    }

    deinit { amqp_destroy_connection(state) }

    /// The descriptor of the socket, or -1 once the library has closed it.
    var socket: Int32 { amqp_get_sockfd(state) }

    /// Whether `receive` can return frames without waiting for the socket.
    var hasBufferedInput: Bool { amqp_frames_enqueued(state) != 0 || amqp_data_in_buffer(state) != 0 }

    /// Polls the socket; errors count as both readable and writable, so that the next call reports them.
    func pollSocket() -> (isReadable: Bool, isWritable: Bool) {
        var entry = pollfd(fd: socket, events: Int16(POLLIN | POLLOUT), revents: 0)
        _ = poll(&entry, 1, 0)
        return (entry.revents & ~Int16(POLLOUT) != 0, entry.revents & ~Int16(POLLIN) != 0)
    }

    /// Whether the socket accepts at least as much as our largest write.
    func isWritable() -> Bool {
        var entry = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
        // Errors count as writable: the write then reports them.
        return poll(&entry, 1, 0) > 0
    }

    /// Makes the kernel collect written data into full packets until the socket is uncorked.
    func setCorked(_ isCorked: Bool) { StreamSocket.setCorked(socket, isCorked) }

    /// Logs in and returns the broker's server properties.
    func logIn(_ configuration: AMQPConfiguration) throws(AMQPError) -> AMQPTable {
        var timeout = configuration.handshakeTimeout.timeValue
        amqp_set_handshake_timeout(state, &timeout)
        arena.reset()
        var properties = arena.table([
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
                    crmq_login_plain(state, virtualHost, 2047, frameMax, heartbeat, &properties, user, password)
                }
            }
        }
        try Self.check(reply, configuration)
        self.frameMax = Int(amqp_get_frame_max(state))
        channelMax = UInt16(clamping: amqp_get_channel_max(state))
        return amqp_get_server_properties(state).map { AMQPTable($0.pointee) } ?? AMQPTable()
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

extension LibraryHandle {
    /// Connects the socket within the time limit, and passes it to the guard.
    func open(_ configuration: AMQPConfiguration, guardedBy socketGuard: SocketGuard) throws(AMQPError) {
        let deadline = ContinuousClock.now + configuration.connectTimeout
        let addresses = try AddressLookup.resolve(configuration, until: deadline)
        if let tls = configuration.tls {
            try openTLS(configuration, tls, addresses, until: deadline)
        } else {
            try openTCP(configuration, addresses, until: deadline)
        }
        socketGuard.adopt(socket)
        socketGuard.boundWrites(by: configuration.heartbeat * 2)
        try StreamSocket.prepare(socket)
    }

    private func openTCP(
        _ configuration: AMQPConfiguration,
        _ addresses: [SocketAddress],
        until deadline: ContinuousClock.Instant
    ) throws(AMQPError) {
        var failure = AMQPError(.connectionFailed, "the host \(configuration.host) has no address")
        for address in addresses {
            do throws(AMQPError) {
                let socket = try StreamSocket.connect(address, configuration.endpoint, until: deadline)
                guard let transport = amqp_tcp_socket_new(state) else {
                    Glibc.close(socket)
                    throw AMQPError(.connectionFailed, "out of memory while creating a socket")
                }
                amqp_tcp_socket_set_sockfd(transport, socket)
                return
            } catch {
                failure = error
            }
        }
        throw failure
    }
}

extension LibraryHandle {
    /// Connects with TLS; the broker's certificate must be trusted and must match the host.
    private func openTLS(
        _ configuration: AMQPConfiguration,
        _ tls: AMQPTLSConfiguration,
        _ addresses: [SocketAddress],
        until deadline: ContinuousClock.Instant
    ) throws(AMQPError) {
        guard let transport = amqp_ssl_socket_new(state) else {
            throw AMQPError(.connectionFailed, "TLS is not available")
        }
        guard crmq_tls_verify(transport, configuration.host, tls.trustRootsPath) == 1 else {
            throw Self.unusable("the trusted certificates in \(tls.trustRootsPath ?? "the system's default location")")
        }
        if let certificate = tls.certificatePath, let key = tls.privateKeyPath {
            // Without it, OpenSSL would prompt on the terminal for the password of an encrypted key.
            amqp_ssl_socket_set_key_passwd(transport, "")
            guard amqp_ssl_socket_set_key(transport, certificate, key) == AMQP_STATUS_OK.rawValue else {
                throw Self.unusable("the client certificate in \(certificate) with the key in \(key)")
            }
        }
        var rest = max(.milliseconds(1), deadline - .now).timeValue
        var refusal: Int32 = 0
        errno = 0
        let status = crmq_tls_open(transport, configuration.host, Int32(configuration.port), &rest, &refusal)
        guard status == AMQP_STATUS_OK.rawValue else {
            if status == AMQP_STATUS_SOCKET_ERROR.rawValue {
                try Self.findSystemError(configuration, addresses, until: deadline)
            }
            throw Self.handshakeFailure(status, refusal, configuration, tls)
        }
    }

    /// Throws the reason why the TCP connection failed, which the library does not report.
    private static func findSystemError(
        _ configuration: AMQPConfiguration,
        _ addresses: [SocketAddress],
        until deadline: ContinuousClock.Instant
    ) throws(AMQPError) {
        for address in addresses {
            let socket = try StreamSocket.connect(address, configuration.endpoint, until: deadline)
            Glibc.close(socket)
        }
    }

    private static func unusable(_ what: String) -> AMQPError {
        AMQPError(status: AMQP_STATUS_SSL_ERROR.rawValue, .invalidArgument, "cannot use \(what)")
    }

    private static func handshakeFailure(
        _ status: Int32,
        _ refusal: Int32,
        _ configuration: AMQPConfiguration,
        _ tls: AMQPTLSConfiguration
    ) -> AMQPError {
        let place = configuration.endpoint
        switch refusal {
        case 0 where crmq_tls_is_missing() != 0:
            return AMQPError(.connectionFailed, "the server at \(place) does not speak TLS", libraryStatus: status)
        case 0:
            let error = AMQPError(status: status, .connectionFailed, "cannot connect to \(place) with TLS")
            return status == AMQP_STATUS_SSL_CONNECTION_FAILED.rawValue ? error.advising(configuration) : error
        case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
            let what = "the certificate of \(place) is not for \(configuration.host)"
            return AMQPError(.untrusted, what, libraryStatus: status)
        default:
            let roots = tls.trustRootsPath.map { "the certificates in \($0)" } ?? "the system's certificates"
            let reason = String(cString: X509_verify_cert_error_string(Int(refusal)))
            let what = "the certificate of \(place) is not trusted by \(roots): \(reason)"
            return AMQPError(.untrusted, what, libraryStatus: status)
        }
    }
}

extension AMQPError {
    /// Returns the error of a broker that closed the connection without a reply, with advice on the most likely cause.
    fileprivate func advising(_ configuration: AMQPConfiguration) -> AMQPError {
        let advice: String
        switch configuration.tls {
        case nil: advice = "; if it expects TLS there, use amqps://"
        case let tls? where tls.certificatePath == nil:
            advice = "; if it expects a client certificate, set certfile and keyfile"
        default: return self
        }
        return AMQPError(
            code,
            message + advice,
            libraryStatus: self.libraryStatus,
            systemError: self.systemError
        )
    }
}

extension AMQPError {
    /// Makes an error of the library, with its message and, if available, that of the system or of OpenSSL.
    init(status: Int32, _ code: Code, _ what: String) {
        let systemError = errno
        var message = "\(what): \(String(cString: amqp_error_string2(status)))"
        let isSystem = status == AMQP_STATUS_SOCKET_ERROR.rawValue || status == AMQP_STATUS_TCP_ERROR.rawValue
        if isSystem, systemError != 0 { message += " (\(describe(systemError)))" }
        let isTLS = status == AMQP_STATUS_SSL_ERROR.rawValue || status == AMQP_STATUS_SSL_CONNECTION_FAILED.rawValue
        if isTLS, let reason = crmq_tls_failure() { message += " (\(String(cString: reason)))" }
        self.init(code, message, libraryStatus: status, systemError: isSystem ? systemError : nil)
    }
}

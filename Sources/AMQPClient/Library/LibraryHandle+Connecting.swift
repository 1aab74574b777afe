import CRabbitMQ
import Glibc

extension LibraryHandle {
    /// Connects the socket, within the time-out, and hands it to the guard.
    func open(_ configuration: AMQPConfiguration, guardedBy socketGuard: SocketGuard) throws(AMQPError) {
        let deadline = ContinuousClock.now + configuration.connectTimeout
        let addresses = try AddressLookup.resolve(configuration, until: deadline)
        if let tls = configuration.tls {
            try self.openTLS(configuration, tls, until: deadline)
        } else {
            try self.openTCP(configuration, addresses, until: deadline)
        }
        socketGuard.adopt(self.socket)
        socketGuard.boundWrites(by: configuration.heartbeat * 2)
        try StreamSocket.prepare(self.socket)
    }

    private func openTCP(
        _ configuration: AMQPConfiguration,
        _ addresses: [SocketAddress],
        until deadline: ContinuousClock.Instant
    ) throws(AMQPError) {
        var failure = AMQPError(.connectionFailed, "\(configuration.host) has no address")
        for address in addresses {
            do throws(AMQPError) {
                let socket = try StreamSocket.connect(address, configuration.endpoint, until: deadline)
                guard let transport = amqp_tcp_socket_new(self.state) else {
                    Glibc.close(socket)
                    throw AMQPError(.connectionFailed, "no memory for a socket")
                }
                amqp_tcp_socket_set_sockfd(transport, socket)
                return
            } catch {
                failure = error
            }
        }
        throw failure
    }

    private func openTLS(
        _ configuration: AMQPConfiguration,
        _ tls: AMQPTLSConfiguration,
        until deadline: ContinuousClock.Instant
    ) throws(AMQPError) {
        guard let transport = amqp_ssl_socket_new(self.state) else {
            throw AMQPError(.connectionFailed, "TLS is not available")
        }
        amqp_ssl_socket_set_verify_peer(transport, 1)
        amqp_ssl_socket_set_verify_hostname(transport, 1)
        var status = tls.trustRootsPath.withCString { amqp_ssl_socket_set_cacert(transport, $0) }
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(status: status, .invalidArgument, "cannot read the certificates in \(tls.trustRootsPath)")
        }
        status = amqp_ssl_socket_set_ssl_versions(transport, AMQP_TLSv1_2, AMQP_TLSvLATEST)
        if let certificate = tls.certificatePath, let key = tls.privateKeyPath {
            status = certificate.withCString { certificate in
                key.withCString { amqp_ssl_socket_set_key(transport, certificate, $0) }
            }
            guard status == AMQP_STATUS_OK.rawValue else {
                throw AMQPError(status: status, .invalidArgument, "cannot read \(certificate) and \(key)")
            }
        }
        var rest = max(.milliseconds(1), deadline - .now).timeValue
        errno = 0
        status = configuration.host.withCString {
            amqp_socket_open_noblock(transport, $0, Int32(configuration.port), &rest)
        }
        guard status == AMQP_STATUS_OK.rawValue else {
            throw AMQPError(status: status, .connectionFailed, "cannot connect to \(configuration.endpoint) with TLS")
        }
    }
}

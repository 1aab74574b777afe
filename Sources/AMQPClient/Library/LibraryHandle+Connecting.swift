import CRabbitMQ
import Glibc

extension LibraryHandle {
    /// Connects the socket, within the time-out, and hands it to the guard.
    func open(_ configuration: AMQPConfiguration, guardedBy socketGuard: SocketGuard) throws(AMQPError) {
        let deadline = ContinuousClock.now + configuration.connectTimeout
        let addresses = try AddressLookup.resolve(configuration, until: deadline)
        if let tls = configuration.tls {
            try self.openTLS(configuration, tls, addresses, until: deadline)
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
}

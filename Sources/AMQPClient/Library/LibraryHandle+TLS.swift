import CRabbitMQ
import Glibc

extension LibraryHandle {
    /// Connects and shakes hands with a broker whose certificate is trusted and is for its host.
    func openTLS(
        _ configuration: AMQPConfiguration,
        _ tls: AMQPTLSConfiguration,
        _ addresses: [SocketAddress],
        until deadline: ContinuousClock.Instant
    ) throws(AMQPError) {
        guard let transport = amqp_ssl_socket_new(self.state) else {
            throw AMQPError(.connectionFailed, "TLS is not available")
        }
        guard crmq_tls_verify(transport, configuration.host, tls.trustRootsPath) == 1 else {
            throw Self.unusable("the certificates to trust in \(tls.trustRootsPath ?? "the system's folder")")
        }
        if let certificate = tls.certificatePath, let key = tls.privateKeyPath {
            // Without one, OpenSSL would ask the terminal for the password of a key that has one.
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

    /// Throws what the library does not tell: why no connection came about, before any handshake.
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
            return AMQPError(.connectionFailed, "what answers at \(place) does not speak TLS", libraryStatus: status)
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
    /// The same error of a broker that hung up without a word, with what most often is the reason.
    func advising(_ configuration: AMQPConfiguration) -> AMQPError {
        let advice: String
        switch configuration.tls {
        case nil: advice = "; if it expects TLS there, use amqps://"
        case let tls? where tls.certificatePath == nil:
            advice = "; if it expects a client certificate, name its certfile and keyfile"
        default: return self
        }
        return AMQPError(
            self.code,
            self.message + advice,
            libraryStatus: self.libraryStatus,
            systemError: self.systemError
        )
    }
}

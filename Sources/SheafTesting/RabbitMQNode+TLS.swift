extension RabbitMQNode {
    /// Where a node speaks TLS, and the certificates around it.
    public struct TLS: Sendable {
        /// The port where the certificate is for the name `localhost` and nothing is asked of clients.
        public let port: Int
        /// The port where the certificate is for the address `127.0.0.1` and clients need a certificate too.
        public let strictPort: Int
        private let folder: String

        init?(variables: [String: String], folder: String) {
            guard let port = variables["SHEAF_TEST_AMQPS_PORT"].flatMap({ Int($0) }),
                let strictPort = variables["SHEAF_TEST_AMQPS_STRICT_PORT"].flatMap({ Int($0) })
            else { return nil }
            self.port = port
            self.strictPort = strictPort
            self.folder = "\(folder)/tls"
        }

        /// The path of the certificate that signed all others.
        public var authority: String { "\(folder)/ca.pem" }
        /// The path of a certificate that signed none of them.
        public var otherAuthority: String { "\(folder)/other-ca.pem" }
        /// The path of a client's certificate.
        public var clientCertificate: String { "\(folder)/client.pem" }
        /// The path of the key to the client's certificate.
        public var clientKey: String { "\(folder)/client.key" }
    }
}

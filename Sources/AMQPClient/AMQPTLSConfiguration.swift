/// How to talk TLS to the broker; the certificate and the host name are always verified, and TLS 1.2 is the least.
public struct AMQPTLSConfiguration: Sendable, Hashable {
    /// The path of the file with the certificates to trust, in PEM, or nil for those that the system trusts.
    ///
    /// The system's are where OpenSSL looks by itself, or where `SSL_CERT_FILE` and `SSL_CERT_DIR` say.
    public var trustRootsPath: String?
    /// The path of the client's certificate chain, in PEM.
    public var certificatePath: String?
    /// The path of the client's private key, in PEM and without a password.
    public var privateKeyPath: String?

    /// Makes a configuration; a client certificate needs both its paths.
    public init(trustRootsPath: String? = nil, certificatePath: String? = nil, privateKeyPath: String? = nil) {
        self.trustRootsPath = trustRootsPath
        self.certificatePath = certificatePath
        self.privateKeyPath = privateKeyPath
    }
}

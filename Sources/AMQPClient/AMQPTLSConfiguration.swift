/// How to talk TLS to the broker; the certificate and the host name are always verified.
public struct AMQPTLSConfiguration: Sendable, Hashable {
    /// The path of the file with the certificates to trust, in PEM.
    public var trustRootsPath: String
    /// The path of the client's certificate chain, in PEM.
    public var certificatePath: String?
    /// The path of the client's private key, in PEM.
    public var privateKeyPath: String?

    /// The certificates that Debian trusts.
    public static let systemTrustRootsPath = "/etc/ssl/certs/ca-certificates.crt"

    /// Makes a configuration; a client certificate needs both its paths.
    public init(
        trustRootsPath: String = AMQPTLSConfiguration.systemTrustRootsPath,
        certificatePath: String? = nil,
        privateKeyPath: String? = nil
    ) {
        self.trustRootsPath = trustRootsPath
        self.certificatePath = certificatePath
        self.privateKeyPath = privateKeyPath
    }
}

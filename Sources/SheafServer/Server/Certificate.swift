import NIOSSL

/// Reads the certificate of the server.
enum Certificate {
    /// Returns the configuration of TLS with a certificate, its chain and its key.
    ///
    /// - Throws: ``ServerError`` with `badCertificate` that names the file.
    static func configuration(certificate: String, key: String) throws(ServerError) -> TLSConfiguration {
        let chain = try reading(certificate) { try NIOSSLCertificate.fromPEMFile(certificate) }
        guard !chain.isEmpty else { throw failure(certificate, "it holds no certificate") }
        let privateKey = try reading(key) { try NIOSSLPrivateKey(file: key, format: .pem) }
        let configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(privateKey)
        )
        // It checks that the key belongs to the certificate.
        _ = try reading(key) { try NIOSSLContext(configuration: configuration) }
        return configuration
    }

    private static func reading<Value>(_ path: String, _ body: () throws -> Value) throws(ServerError) -> Value {
        do {
            return try body()
        } catch {
            throw failure(path, String(describing: error))
        }
    }

    private static func failure(_ path: String, _ cause: String) -> ServerError {
        ServerError(code: .badCertificate, message: "cannot use '\(path)' for TLS: \(cause)")
    }
}

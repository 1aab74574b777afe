import CCrypto

/// A private RSA key that signs with RS256 (RFC 7518, section 3.3), by OpenSSL's libcrypto.
final class RSAKey {
    /// A key has at least so many bits (RFC 7518).
    private static let minimumBits = 2_048

    private let key: OpaquePointer

    /// Reads a key in PEM, as PKCS #8 or PKCS #1; returns nil if it is none, is encrypted, or is too short.
    init?(pem: String) {
        let bytes = Array(pem.utf8)
        guard let input = BIO_new_mem_buf(bytes, CInt(clamping: bytes.count)) else { return nil }
        defer { BIO_free(input) }
        // Without a callback, libcrypto would ask for a password on the terminal.
        let key = PEM_read_bio_PrivateKey(input, nil, { _, _, _, _ in 0 }, nil)
        ERR_clear_error()
        guard let key else { return nil }
        guard EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA, EVP_PKEY_get_bits(key) >= Self.minimumBits else {
            EVP_PKEY_free(key)
            return nil
        }
        self.key = key
    }

    deinit { EVP_PKEY_free(key) }

    /// Returns the signature of a message; nil if libcrypto refuses to make one.
    func signature(of message: [UInt8]) -> [UInt8]? {
        guard let context = EVP_MD_CTX_new() else { return nil }
        defer {
            EVP_MD_CTX_free(context)
            ERR_clear_error()
        }
        guard EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key) == 1 else { return nil }
        var count = 0
        guard EVP_DigestSign(context, nil, &count, message, message.count) == 1 else { return nil }
        var signature = [UInt8](repeating: 0, count: count)
        guard EVP_DigestSign(context, &signature, &count, message, message.count) == 1 else { return nil }
        return Array(signature.prefix(count))
    }
}

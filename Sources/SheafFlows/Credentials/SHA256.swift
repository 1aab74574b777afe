import CCrypto

/// SHA-256 (FIPS 180-4) and HMAC (RFC 2104), by OpenSSL's libcrypto.
package enum SHA256 {
    /// The bytes of a digest.
    private static let size = 32

    /// Returns the digest of a message.
    package static func digest(_ message: [UInt8]) -> [UInt8] {
        let hasher = Hasher()
        message.withUnsafeBytes { hasher.update($0) }
        return hasher.finalize()
    }

    /// Returns the authentication code of a message.
    package static func authenticationCode(of message: [UInt8], key: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: size) { code, count in
            let made = HMAC(EVP_sha256(), key, CInt(key.count), message, message.count, code.baseAddress, nil)
            // It fails only without memory.
            precondition(made != nil, "libcrypto cannot compute an HMAC")
            count = size
        }
    }

    /// Returns bytes as lower-case hexadecimal digits.
    package static func hex(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Computes the digest of a message that is given piece by piece.
    final class Hasher {
        private let context: OpaquePointer

        init() {
            guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
                preconditionFailure("libcrypto has no SHA-256")
            }
            self.context = context
        }

        deinit { EVP_MD_CTX_free(context) }

        func update(_ bytes: UnsafeRawBufferPointer) {
            precondition(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1, "libcrypto cannot hash")
        }

        /// Returns the digest; nothing can be added afterwards.
        func finalize() -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: SHA256.size) { digest, count in
                precondition(EVP_DigestFinal_ex(context, digest.baseAddress, nil) == 1, "libcrypto cannot hash")
                count = SHA256.size
            }
        }
    }
}

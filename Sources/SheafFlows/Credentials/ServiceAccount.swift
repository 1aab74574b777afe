import SheafCore
import SystemPackage

/// The key of a service account of Google Cloud, as its JSON file has it.
struct ServiceAccount: Sendable {
    /// The address of the account.
    let email: String
    /// Where an assertion is exchanged for a token.
    let tokenURL: HTTPAddress
    private let keyID: String?
    private let pem: String

    /// How long an assertion is valid, in seconds.
    private static let validity: Int64 = 3_600
    /// The right to use all services of Google Cloud, as far as the account has it.
    private static let scope = "https://www.googleapis.com/auth/cloud-platform"
    private static let largestFile = 1 << 20

    /// Reads a file.
    ///
    /// - Throws: ``FlowError`` of type `credentials` if there is no such file, or if it is another one.
    init(path: String) throws(FlowError) {
        let bytes: [UInt8]
        do {
            let file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .nonBlocking])
            bytes = try file.closeAfter {
                try [UInt8](unsafeUninitializedCapacity: Self.largestFile) { buffer, count in
                    count = try file.read(into: UnsafeMutableRawBufferPointer(buffer))
                }
            }
        } catch {
            throw Self.error("cannot read the key file \(path): \(error)")
        }
        guard let json = try? JSON.parse(bytes), json.objectValue != nil else {
            throw Self.error("the key file \(path) is not JSON; expected the JSON key of a service account")
        }
        guard json["type"] == "service_account" else {
            let type = json["type"]?.stringValue.map { "has credentials of the type '\($0)'" } ?? "names no type"
            throw Self.error("the key file \(path) \(type); expected the JSON key of a service account")
        }
        guard let email = json["client_email"]?.stringValue, let pem = json["private_key"]?.stringValue else {
            throw Self.error("the key file \(path) has no client_email or no private_key")
        }
        guard let tokenURL = HTTPAddress(json["token_uri"]?.stringValue ?? "https://oauth2.googleapis.com/token")
        else { throw Self.error("the token_uri of the key file \(path) is not a URL") }
        guard RSAKey(pem: pem) != nil else {
            throw Self.error("the private_key of the key file \(path) is not an RSA key of 2048 bits or more in PEM")
        }
        self.email = email
        self.pem = pem
        self.tokenURL = tokenURL
        keyID = json["private_key_id"]?.stringValue
    }

    /// Returns a signed assertion (RFC 7523) that can be exchanged for a token.
    ///
    /// - Parameter seconds: The time since 1970.
    func assertion(at seconds: Int64) throws(FlowError) -> String {
        var header: JSONValue = ["alg": "RS256", "typ": "JWT"]
        if let keyID { header.set("kid", to: .string(keyID)) }
        let claims: JSONValue = [
            "iss": .string(email), "scope": .string(Self.scope), "aud": .string(tokenURL.text),
            "iat": .integer(Int(seconds)), "exp": .integer(Int(seconds + Self.validity)),
        ]
        let message = "\(Self.encode(header.bytes)).\(Self.encode(claims.bytes))"
        guard let signature = RSAKey(pem: pem)?.signature(of: Array(message.utf8)) else {
            throw Self.error("cannot sign with the key of \(email)")
        }
        return "\(message).\(Self.encode(signature))"
    }

    private static func error(_ message: String) -> FlowError {
        FlowError(type: FlowError.credentialsType, message: message)
    }

    /// Returns bytes in Base64 for URLs, without padding.
    private static func encode(_ bytes: [UInt8]) -> String {
        Base64.encode(bytes).replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}

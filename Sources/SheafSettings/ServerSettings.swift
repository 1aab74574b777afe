/// How `sheaf serve` listens and whom it admits.
package struct ServerSettings: Sendable {
    /// A bearer token; its secret is nil if it names a variable of the environment that is not set.
    package struct Token: Sendable {
        /// The name for the log.
        package var name: String
        /// What the client sends.
        package var secret: String?
        /// What it allows.
        package var scope: AccessScope
        /// The variable that holds the secret, if there is one.
        package var variable: String?
    }

    /// The address to listen on; nil means the loopback interface.
    package var host: String?
    /// The port to listen on; 0 takes any free port; nil means the default.
    package var port: Int?
    /// The path under which the server is reached, such as `/sheaf`; empty for the root.
    package var prefix = ""
    /// The URL under which clients reach the server, if it is another one than the address.
    package var publicURL: String?
    /// The PEM file with the certificate and its chain, absolute.
    package var certificate: String?
    /// The PEM file with the private key, absolute.
    package var key: String?
    /// The tokens that clients may send.
    package var tokens: [Token] = []
    /// Further names that the `Host` header may have.
    package var allowedHosts: [String] = []

    /// The variables that tokens name and that are not set.
    package var missingVariables: [String] { tokens.filter { $0.secret == nil }.compactMap(\.variable) }

    /// The expected form of a prefix, for messages.
    package static let prefixRule = "a path such as /sheaf, of letters, digits, '-', '_', '.' and '/'"
    /// The expected form of a public URL, for messages.
    package static let publicURLRule = "a URL such as https://sheaf.example.org, without a path"

    /// Returns a prefix in its normal form: a leading slash and none at the end, or empty; nil if it is invalid.
    package static func normalPrefix(_ text: String) -> String? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: true)
        let isValid = parts.allSatisfy { part in
            part != "." && part != ".." && part.wholeMatch(of: /[A-Za-z0-9_.-]+/) != nil
        }
        return isValid ? parts.map { "/\($0)" }.joined() : nil
    }

    /// Returns a public URL without a slash at the end; nil if it is invalid.
    package static func normalPublicURL(_ text: String) -> String? {
        text.lowercased().wholeMatch(of: /(https?:\/\/[a-z0-9_.:\[\]-]+)\/?/).map { String($0.1) }
    }
}

/// What a bearer token allows.
package enum AccessScope: String, Sendable, CaseIterable {
    /// Looking at batches, tasks and results.
    case read
    /// Everything: also creating, changing, retrying and cancelling batches.
    case write

    /// Returns whether this scope includes another one.
    package func includes(_ other: AccessScope) -> Bool { self == .write || other == .read }
}

package import SheafCore

/// Signature Version 4 of Amazon Web Services.
///
/// The algorithm is that of
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
package struct AWSSignature: Sendable {
    /// The keys of an account or a role.
    package struct Keys: Sendable, Equatable {
        package var id: String
        package var secret: String
        /// The token of temporary keys.
        package var token: String?

        package init(id: String, secret: String, token: String? = nil) {
            self.id = id
            self.secret = secret
            self.token = token
        }
    }

    /// A request as it is signed.
    package struct Request: Sendable {
        package var method: String
        /// The path, percent-encoded as it is sent.
        package var path: String
        /// The query, percent-encoded as it is sent; empty if there is none.
        package var query: String
        /// The headers that are signed, with `host`.
        package var headers: [(name: String, value: String)]
        /// The digest of the body, in hexadecimal digits.
        package var bodyDigest: String

        package init(
            method: String,
            path: String,
            query: String,
            headers: [(name: String, value: String)],
            bodyDigest: String
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.headers = headers
            self.bodyDigest = bodyDigest
        }
    }

    /// The digest of an empty body.
    package static let emptyDigest = SHA256.hex(SHA256.digest([]))
    private static let algorithm = "AWS4-HMAC-SHA256"

    /// The name of the service, such as `s3`.
    package let service: String
    package let region: String

    package init(service: String, region: String) {
        self.service = service
        self.region = region
    }

    /// Returns a time as it is signed, such as `20150830T123600Z`.
    package static func time(_ timestamp: Timestamp) -> String {
        String(timestamp.description.filter { $0 != "-" && $0 != ":" }.prefix { $0 != "." }) + "Z"
    }

    /// Returns the value of `Authorization`.
    ///
    /// - Parameter time: The time in the form of ``time(_:)``, which a header of the request must have too.
    package func authorization(of request: Request, at time: String, with keys: Keys) -> String {
        let scope = "\(time.prefix(8))/\(region)/\(service)/aws4_request"
        let (canonical, names) = canonical(request)
        let text = [Self.algorithm, time, scope, SHA256.hex(SHA256.digest(Array(canonical.utf8)))]
            .joined(separator: "\n")
        var key = Array("AWS4\(keys.secret)".utf8)
        for part in [String(time.prefix(8)), region, service, "aws4_request", text] {
            key = SHA256.authenticationCode(of: Array(part.utf8), key: key)
        }
        return "\(Self.algorithm) Credential=\(keys.id)/\(scope), SignedHeaders=\(names), Signature=\(SHA256.hex(key))"
    }

    /// Returns the canonical form of a request, and the names of the signed headers.
    private func canonical(_ request: Request) -> (text: String, names: String) {
        var values: [String: [String]] = [:]
        for (name, value) in request.headers {
            let words = value.split(omittingEmptySubsequences: true) { $0 == " " || $0 == "\t" || $0.isNewline }
            values[name.lowercased(), default: []].append(words.joined(separator: " "))
        }
        let headers = values.sorted { $0.key < $1.key }
        let names = headers.map(\.key).joined(separator: ";")
        let lines =
            [request.method, path(request.path), query(request.query)]
            + headers.map { "\($0.key):\($0.value.joined(separator: ","))" } + ["", names, request.bodyDigest]
        return (lines.joined(separator: "\n"), names)
    }

    /// S3 signs the path as it is sent; other services encode it once more.
    private func path(_ path: String) -> String {
        if path.isEmpty { return "/" }
        if service == "s3" { return path }
        return path.split(separator: "/", omittingEmptySubsequences: false)
            .map { PercentEncoding.encode(String($0)) }.joined(separator: "/")
    }

    private func query(_ query: String) -> String {
        query.split(separator: "&").map { part in
            let name = part.prefix { $0 != "=" }
            return (String(name), String(part.dropFirst(name.count + 1)))
        }
        .sorted { ($0.0, $0.1) < ($1.0, $1.1) }
        .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }
}

import Foundation
import NIOCore
import SheafCore
import Synchronization

/// Signs requests to Amazon Web Services.
struct AWSAuthenticator: RequestAuthenticator {
    /// The errors that report a time that is too far from the service's.
    private static let skewed = ["RequestTimeTooSkewed", "RequestExpired", "Signature expired", "Signature not yet"]
    /// How far our clock may be from that of the service, in milliseconds.
    private static let tolerance: Int64 = 240_000

    /// How far the clock of a service is ahead of ours, shared by the authenticators of one owner.
    private final class Clock: Sendable {
        let lead = Mutex<Int64>(0)
    }

    private let signature: AWSSignature
    private let id: CredentialTemplate
    private let secret: CredentialTemplate
    private let token: CredentialTemplate?
    private let clock: Clock

    /// Prepares to sign.
    ///
    /// - Parameters:
    ///   - service: The name of the service, such as `bedrock`.
    ///   - region: The region, such as `us-east-1`.
    ///   - id: The id of the access key.
    ///   - secret: The secret of the access key.
    ///   - token: The session token; nil if the keys are not temporary.
    init(
        service: String,
        region: String,
        id: CredentialTemplate,
        secret: CredentialTemplate,
        token: CredentialTemplate?
    ) {
        self.init(AWSSignature(service: service, region: region), id, secret, token, Clock())
    }

    private init(
        _ signature: AWSSignature,
        _ id: CredentialTemplate,
        _ secret: CredentialTemplate,
        _ token: CredentialTemplate?,
        _ clock: Clock
    ) {
        self.signature = signature
        self.id = id
        self.secret = secret
        self.token = token
        self.clock = clock
    }

    var secrets: [String] { [id, secret, token].compactMap { try? $0?.value() } }

    func serving(_ service: String) -> any RequestAuthenticator {
        AWSAuthenticator(AWSSignature(service: service, region: signature.region), id, secret, token, clock)
    }

    func authenticated(_ call: HTTPCall, _ body: StreamedBody?) async throws -> HTTPCall {
        let keys = AWSSignature.Keys(id: try id.value(), secret: try secret.value(), token: try token?.value())
        let time = AWSSignature.time(Timestamp(milliseconds: WallClock.milliseconds + clock.lead.withLock { $0 }))
        let digest = try await Self.digest(of: call, body)
        var call = call
        call.headers.removeAll { ["authorization", "host"].contains($0.name.lowercased()) }
        call.headers.append(("X-Amz-Date", time))
        if signature.service == "s3" { call.headers.append(("X-Amz-Content-Sha256", digest)) }
        if let token = keys.token { call.headers.append(("X-Amz-Security-Token", token)) }
        let signed = call.headers.filter {
            let name = $0.name.lowercased()
            return name == "content-type" || name.hasPrefix("x-amz-")
        }
        let (path, query) = call.url.target
        let request = AWSSignature.Request(
            method: call.method,
            path: path,
            query: query,
            headers: signed + [("host", call.url.authority)],
            bodyDigest: digest
        )
        call.headers.append(("Authorization", signature.authorization(of: request, at: time, with: keys)))
        return call
    }

    func learn(from answer: HTTPAnswer, to call: HTTPCall) async -> Bool {
        guard (400..<500).contains(answer.status), let date = answer.header("date").flatMap({ RetryAfter.date($0) })
        else { return false }
        let text = String(decoding: answer.body.prefix(4_096), as: UTF8.self)
        guard Self.skewed.contains(where: { text.contains($0) }) else { return false }
        let lead = Int64(min(max(date.timeIntervalSince1970, 0), 1e10) * 1_000) - WallClock.milliseconds
        return clock.lead.withLock { known in
            if abs(lead - known) < Self.tolerance { return false }
            known = lead
            return true
        }
    }

    private static func digest(of call: HTTPCall, _ body: StreamedBody?) async throws -> String {
        guard let body else { return call.body.map { SHA256.hex(SHA256.digest($0)) } ?? AWSSignature.emptyDigest }
        let hasher = SHA256.Hasher()
        for try await chunk in body { chunk.withUnsafeReadableBytes { hasher.update($0) } }
        return SHA256.hex(hasher.finalize())
    }
}

extension HTTPAddress {
    /// The value of `Host`.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (scheme == "https" ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// The path and the query as they are sent.
    var target: (path: String, query: String) {
        let rest = text.firstRange(of: "://").map { text[$0.upperBound...] } ?? text[...]
        let target = rest.drop { $0 != "/" && $0 != "?" }
        let path = target.prefix { $0 != "?" }
        return (path.isEmpty ? "/" : String(path), String(target.dropFirst(path.count + 1)))
    }
}

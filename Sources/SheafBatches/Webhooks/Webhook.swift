import SheafCore
import SheafFlows

/// How a process sends webhooks.
public struct WebhookConfiguration: Sendable {
    /// The key of the signatures.
    package let key: [UInt8]
    /// Whether webhooks may go to addresses of this machine and of private networks.
    public let allowsPrivateAddresses: Bool

    /// Creates a configuration; returns nil if the secret is invalid.
    ///
    /// - Parameters:
    ///   - secret: `whsec_` and 24 to 64 bytes in Base64, as Standard Webhooks write it.
    ///   - allowsPrivateAddresses: Whether webhooks may go to addresses of this machine and of private networks.
    public init?(secret: String, allowsPrivateAddresses: Bool = false) {
        let prefix = "whsec_"
        guard secret.hasPrefix(prefix), let key = Base64.decode(String(secret.dropFirst(prefix.count))),
            (24...64).contains(key.count)
        else { return nil }
        self.key = key
        self.allowsPrivateAddresses = allowsPrivateAddresses
    }
}

/// A message to a URL about the end of a batch, signed as [Standard Webhooks](https://www.standardwebhooks.com) specify.
struct Webhook: Sendable, Equatable {
    /// The same at each repetition.
    let id: String
    let url: String
    let body: [UInt8]

    init(id: String, url: String, body: [UInt8]) {
        self.id = id
        self.url = url
        self.body = body
    }

    /// Creates the message about a batch that has ended, to its URL with that index.
    init(_ batch: BatchInfo, ending: BatchInfo.Ending, url index: Int) {
        let data = BatchSummary(info: batch, progress: nil).json
        let event: JSONValue = ["type": "batch.finished", "timestamp": .string(ending.at.description), "data": data]
        self.init(
            id: "\(batch.id).finished.\(ending.generation).\(index)",
            url: batch.options.notify[index],
            body: event.bytes
        )
    }

    /// Returns the headers of an attempt at a time.
    func headers(at time: Timestamp, key: [UInt8]) -> [(name: String, value: String)] {
        let seconds = time.milliseconds / 1000
        let code = SHA256.authenticationCode(of: Array("\(id).\(seconds).".utf8) + body, key: key)
        return [
            ("content-type", "application/json"), ("user-agent", "sheaf"), ("webhook-id", id),
            ("webhook-timestamp", String(seconds)),
            ("webhook-signature", "v1,\(Base64.encode(code))"),
        ]
    }
}

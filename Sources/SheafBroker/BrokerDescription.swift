/// What a broker is and where, for people; never with a password.
public struct BrokerDescription: Sendable, Equatable {
    /// The kind: `RabbitMQ` or `embedded`.
    public var kind: String
    /// The address without credentials, or the path of the file.
    public var address: String
    /// The version of the broker.
    public var version: String
    /// Rules of this version that matter to Sheaf's users, one sentence each, with what to do about them.
    public var notes: [String]

    /// Makes a description.
    public init(kind: String, address: String, version: String, notes: [String] = []) {
        self.kind = kind
        self.address = address
        self.version = version
        self.notes = notes
    }
}

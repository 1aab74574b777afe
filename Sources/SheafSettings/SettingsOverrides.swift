/// What the command line says about the configuration.
public struct SettingsOverrides: Sendable, Equatable {
    /// The file to read, instead of looking for one.
    public var config: String?
    /// The broker: a URL, `embedded`, or `embedded:` and a folder.
    public var broker: String?
    /// The namespace.
    public var namespace: String?
    /// How many tasks a worker runs at once.
    public var concurrency: Int?
    /// Any keys, each as `key.path=value`, the value as JSON or else as text; the later wins.
    public var set: [String]

    /// Makes overrides.
    public init(
        config: String? = nil,
        broker: String? = nil,
        namespace: String? = nil,
        concurrency: Int? = nil,
        set: [String] = []
    ) {
        self.config = config
        self.broker = broker
        self.namespace = namespace
        self.concurrency = concurrency
        self.set = set
    }
}

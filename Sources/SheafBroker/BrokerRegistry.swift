/// One implementation of ``Broker``: the schemes of its references and how it is opened.
public struct BrokerProvider: Sendable {
    /// The schemes that this broker opens, in lower case.
    package let schemes: [String]
    private let opener: @Sendable (BrokerReference, String) async throws -> any Broker

    /// Creates a provider.
    ///
    /// - Parameters:
    ///   - schemes: The schemes that this broker opens, in lower case and without the colon.
    ///   - open: Opens the broker of a reference. The second argument is the namespace, which begins the names of the
    ///     queues that a broker declares for its own use. Throws `BrokerError` without repeating a password.
    public init(
        schemes: [String],
        open: @escaping @Sendable (_ reference: BrokerReference, _ namespace: String) async throws -> any Broker
    ) {
        self.schemes = schemes
        self.opener = open
    }

    fileprivate func open(_ reference: BrokerReference, namespace: String) async throws -> any Broker {
        try await opener(reference, namespace)
    }
}

/// The brokers that a program can open, by the scheme of a ``BrokerReference``.
public struct BrokerRegistry: Sendable {
    private var providers: [String: BrokerProvider] = [:]

    /// Creates a registry; if two providers share a scheme, the later one opens it.
    public init(_ providers: [BrokerProvider] = []) {
        for provider in providers { add(provider) }
    }

    /// Adds a provider, which replaces earlier ones for its schemes.
    package mutating func add(_ provider: BrokerProvider) {
        for scheme in provider.schemes { providers[scheme] = provider }
    }

    /// Returns this registry with one more provider.
    public func adding(_ provider: BrokerProvider) -> BrokerRegistry {
        var registry = self
        registry.add(provider)
        return registry
    }

    /// The schemes that this registry can open, sorted.
    package var schemes: [String] { providers.keys.sorted() }

    /// Opens a broker.
    ///
    /// - Parameters:
    ///   - reference: The broker.
    ///   - namespace: Begins the names of the queues that a broker declares for its own use.
    /// - Throws: `BrokerError` with `invalidArgument` if no provider has the scheme, and whatever the provider throws.
    package func open(_ reference: BrokerReference, namespace: String) async throws -> any Broker {
        guard let provider = providers[reference.scheme] else {
            let known = schemes.joined(separator: ", ")
            throw BrokerError(
                .invalidArgument,
                "cannot open broker \(reference): the scheme '\(reference.scheme)' is unknown; known are \(known)"
            )
        }
        return try await provider.open(reference, namespace: namespace)
    }
}

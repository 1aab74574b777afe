/// The names of queues, logs and locks, all beginning with one namespace.
public struct WireNames: Sendable, Hashable {
    /// What all names begin with.
    public let namespace: Name

    /// Makes the names of a namespace; `sheaf` is the default one.
    public init(namespace: Name? = nil) {
        self.namespace = namespace ?? Self.defaultNamespace
    }

    private static let defaultNamespace: Name = {
        guard let name = Name("sheaf") else { preconditionFailure("'sheaf' is a name") }
        return name
    }()

    /// The queue of a batch's tasks in one generation.
    public func tasks(flow: Name, batch: Name, generation: Int) -> String {
        "\(namespace).tasks.\(flow).\(batch).\(generation)"
    }

    /// The queue of tasks of a flow that came back too often.
    public func suspects(flow: Name) -> String { "\(namespace).suspects.\(flow)" }

    /// The log of messages given up: poison tasks, and what nobody can read.
    public var dead: String { "\(namespace).dead" }

    /// The log of a batch's starts and outcomes.
    public func results(batch: Name) -> String { "\(namespace).results.\(batch)" }

    /// The log of batches as wholes.
    public var journal: String { "\(namespace).journal" }

    /// The bounded log of what the journal said so far, so that it need not be read from its beginning.
    public var checkpoints: String { "\(namespace).checkpoints" }

    /// The bounded log of the aggregator's counts.
    public var progress: String { "\(namespace).progress" }

    /// The bounded log of what is true for seconds.
    public var heartbeats: String { "\(namespace).heartbeats" }

    /// The queue of a batch's permits from a generation on; holding one allows one task at a time.
    public func permits(batch: Name, generation: Int) -> String { "\(namespace).permits.\(batch).\(generation)" }

    /// The bounded log of limits that workers share: their rates, and pauses of services.
    public var limits: String { "\(namespace).limits" }

    /// The log of a batch's questions and their answers.
    public func questions(batch: Name) -> String { "\(namespace).questions.\(batch)" }

    /// The queue of the tokens of a rate; spending one lets one call begin.
    public func tokens(_ key: RateLimitKey, nonce: String) -> String { "\(namespace).tokens.\(key.text).\(nonce)" }

    /// The waiting room of the tokens that were spent.
    public func spentTokens(_ key: RateLimitKey, nonce: String) -> String { "\(namespace).spent.\(key.text).\(nonce)" }

    /// The lock held by whoever mints the tokens of a rate.
    public func limitLock(_ key: RateLimitKey) -> String { "\(namespace).lock.\(key.text)" }

    /// The lock of the one who folds results for everybody.
    public var aggregatorLock: String { "\(namespace).lock.aggregator" }

    /// The lock a worker holds while it lives, by the id it has made up for itself.
    public func workerLock(_ id: String) -> String { "\(namespace).lock.worker.\(id)" }

    /// The lock held by whoever publishes tasks of a batch: its creator, and later a retry.
    public func creatingLock(batch: Name) -> String { "\(namespace).lock.creating.\(batch)" }
}

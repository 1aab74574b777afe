import SheafBroker
import SheafCore

/// The permits of a batch whose tasks may only run so many at a time; whoever mints some holds the batch.
struct Permits {
    let client: SheafClient
    let queue: String

    /// The permits that count for a batch from a generation on.
    init(of batch: Name, from generation: Int, client: SheafClient) {
        self.client = client
        queue = client.names.permits(batch: batch, generation: generation)
    }

    /// Makes the queue.
    func declare() async throws {
        try await retrying(for: .seconds(30)) {
            try await client.broker.declareQueue(QueueDeclaration(name: queue, kind: .tokens()))
        }
    }

    /// Adds the permits that the latest change of the limit asks for.
    func mint(_ rules: PermitRules) async throws { try await mint(rules.minted, rules) }

    /// Makes the queue anew with all permits that the limit allows; nobody may use it yet.
    func mintAll(_ rules: PermitRules) async throws {
        guard let limit = rules.limit else { return }
        try await declare()
        try await purge()
        try await mint(0..<limit, rules)
    }

    /// Drops the permits that wait.
    func purge() async throws {
        do {
            _ = try await retrying(for: .seconds(30)) { try await client.broker.purgeQueue(queue) }
        } catch let error as BrokerError where error.code == .notFound {
            // Nothing waits where there is no queue.
        }
    }

    private func mint(_ numbers: Range<Int>, _ rules: PermitRules) async throws {
        // A repetition of what was confirmed in part would allow more than the limit, so nothing is tried again here.
        let permits = numbers.map { Permit(change: rules.change, number: $0).message }
        if !permits.isEmpty { try await client.broker.publish(permits, to: queue) }
    }
}

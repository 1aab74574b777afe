public import SheafBroker

/// One rule that every broker keeps.
public struct BrokerConformanceCase: Sendable, CustomStringConvertible {
    /// The rule as a sentence.
    public let name: String
    private let body: @Sendable (BrokerConformanceScene) async throws -> Void

    init(_ name: String, _ body: @escaping @Sendable (BrokerConformanceScene) async throws -> Void) {
        self.name = name
        self.body = body
    }

    /// The rule as a sentence.
    public var description: String { name }

    /// Checks the rule; throws what was wrong.
    ///
    /// - Parameters:
    ///   - limit: How long the case may take altogether.
    ///   - makeBroker: Connects to the broker; each call is a connection of its own to the same broker.
    public func run(
        within limit: Duration = .seconds(60),
        makeBroker: @escaping @Sendable () async throws -> any Broker
    ) async throws {
        let scene = BrokerConformanceScene(makeBroker: makeBroker)
        let body = body
        let outcome: Result<Void, any Error>
        do {
            try await withTimeout(limit, name) { try await body(scene) }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await scene.end()
        try outcome.get()
    }
}

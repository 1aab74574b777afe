public import SheafBroker

/// The behaviour that every broker must have, as cases that the tests of a broker run one by one.
///
///     @Test(arguments: BrokerConformance.cases)
///     func conforms(to rule: BrokerConformanceCase) async throws {
///         try await rule.run { try await MyBroker.open(address) }
///     }
public enum BrokerConformance {
    /// All cases; each uses unique names, so that they can run in parallel and on a broker with other queues.
    public static let cases: [BrokerConformanceCase] =
        publishing + consuming + settling + delaying + lifetimes + absence + logs + locks + connections
}

/// One rule that every broker must follow.
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

    /// Checks the rule and throws the first violation.
    ///
    /// - Parameters:
    ///   - limit: The time limit of the case.
    ///   - makeBroker: Connects to the broker; each call opens another connection to the same broker.
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

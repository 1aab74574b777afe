/// The behaviour that every broker shares, as cases that a broker's tests run one by one.
///
///     @Test(arguments: BrokerConformance.cases)
///     func conforms(to rule: BrokerConformanceCase) async throws {
///         try await rule.run { try await MyBroker.open(address) }
///     }
public enum BrokerConformance {
    /// All cases; each uses names of its own, so that they can run side by side and against a broker with other queues.
    public static let cases: [BrokerConformanceCase] =
        publishing + consuming + settling + delaying + lifetimes + removing + logs + locks + connections
}

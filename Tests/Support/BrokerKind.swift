import Testing

/// The two brokers that every feature must work on.
package enum BrokerKind: String, CaseIterable, CustomTestStringConvertible {
    case embedded
    case rabbitMQ

    package var testDescription: String { rawValue }
}

/// What a broker did that the conformance suite does not allow.
public struct BrokerConformanceFailure: Error, Sendable, CustomStringConvertible {
    /// What was expected and what happened.
    public let message: String
    /// Where in the suite, as `file:line`.
    public let place: String

    /// Makes a failure.
    public init(_ message: String, file: String, line: Int) {
        self.message = message
        self.place = "\(file):\(line)"
    }

    /// The message and the place.
    public var description: String { "\(message) (\(place))" }
}

/// Throws a failure unless the condition holds.
func expect(
    _ condition: Bool,
    _ message: @autoclosure () -> String,
    file: String = #fileID,
    line: Int = #line
) throws {
    guard condition else { throw BrokerConformanceFailure(message(), file: file, line: line) }
}

/// Throws a failure unless both are equal.
func expectEqual<Value: Equatable>(
    _ actual: Value,
    _ expected: Value,
    _ what: @autoclosure () -> String,
    file: String = #fileID,
    line: Int = #line
) throws {
    guard actual != expected else { return }
    let message = "\(what()): expected \(shortened(expected)), got \(shortened(actual))"
    throw BrokerConformanceFailure(message, file: file, line: line)
}

/// A value for a message, cut where it would fill the screen.
private func shortened(_ value: some Any) -> String {
    let text = String(describing: value)
    return text.count > 400 ? "\(text.prefix(400))…" : text
}

/// The value, or a failure where there is none.
func require<Value>(
    _ value: Value?,
    _ what: @autoclosure () -> String,
    file: String = #fileID,
    line: Int = #line
) throws -> Value {
    guard let value else { throw BrokerConformanceFailure("there is no \(what())", file: file, line: line) }
    return value
}

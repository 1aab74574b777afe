import SheafBroker
import SheafCore

/// A violation of a rule of the conformance suite.
public struct BrokerConformanceFailure: Error, Sendable, CustomStringConvertible {
    /// What was expected and what happened.
    public let message: String
    /// The location in the suite, as `file:line`.
    public let place: String

    /// Creates a failure.
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

/// Formats a value for a message, truncated if it is long.
private func shortened(_ value: some Any) -> String {
    let text = String(describing: value)
    return text.count > 400 ? "\(text.prefix(400))…" : text
}

/// Returns the value, or throws a failure if it is nil.
func require<Value>(
    _ value: Value?,
    _ what: @autoclosure () -> String,
    file: String = #fileID,
    line: Int = #line
) throws -> Value {
    guard let value else { throw BrokerConformanceFailure("\(what()) is missing", file: file, line: line) }
    return value
}

/// Runs the body and throws a failure unless it throws a ``BrokerError`` of the code.
func expectError(
    _ code: BrokerError.Code,
    _ what: String,
    file: String = #fileID,
    line: Int = #line,
    _ body: @escaping @Sendable () async throws -> Void
) async throws {
    do {
        try await withTimeout(.seconds(10), what, file: file, line: line, body)
    } catch let error as BrokerError where error.code == code {
        return
    } catch let error as BrokerConformanceFailure {
        throw error
    } catch {
        let message = "\(what): expected error \(code), got \(error)"
        throw BrokerConformanceFailure(message, file: file, line: line)
    }
    throw BrokerConformanceFailure("\(what): expected error \(code), got none", file: file, line: line)
}

/// Throws a failure unless the messages are equal, apart from the order of their headers.
func expectSame(_ actual: Message, _ expected: Message, file: String = #fileID, line: Int = #line) throws {
    var (one, two) = (actual, expected)
    one.headers.sort { $0.name < $1.name }
    two.headers.sort { $0.name < $1.name }
    try expect(one.body == two.body, "the body of \(two.id) differs", file: file, line: line)
    one.body = []
    two.body = []
    try expectEqual(one, two, "message", file: file, line: line)
}

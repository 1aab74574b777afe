import Foundation
import SheafCore

/// A flow whose records and outputs are types of your own.
///
/// ```swift
/// struct Shorten: TypedFlow {
///     struct Article: Decodable { var title: String }
///     struct Short: Encodable { var title: String }
///
///     func run(_ article: Article, in context: FlowContext) async throws -> Short {
///         Short(title: String(article.title.prefix(20)))
///     }
/// }
/// ```
///
/// A record that cannot be decoded as `Input` fails its task with an error of type `record`, which names what is
/// missing.
public protocol TypedFlow: Flow {
    /// The type of a record: an object, or `String` for lines and files.
    associatedtype Input: Decodable
    /// The type of the output.
    associatedtype Output: Encodable

    /// Runs one attempt and returns its output.
    ///
    /// - Throws: ``FlowError`` or any other error if the attempt fails.
    func run(_ record: Input, in context: FlowContext) async throws -> Output
}

extension TypedFlow {
    /// Decodes the record, runs the attempt and encodes its output.
    public func run(_ task: FlowTask) async throws -> FlowOutput {
        var json: [UInt8] = []
        task.record.writeJSON(to: &json)
        let input: Input
        do {
            input = try JSONDecoder().decode(Input.self, from: Data(json))
        } catch let error as DecodingError {
            throw FlowError(type: "record", message: "the record '\(task.record.id)' \(error.inWords)")
        }
        let output = try await run(input, in: FlowContext(task: task))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        return .json(Array(try encoder.encode(output)))
    }
}

/// What a typed flow can learn about its task besides the record.
public struct FlowContext: Sendable {
    /// The task, with the record as it came.
    public let task: FlowTask

    /// Makes a context.
    public init(task: FlowTask) { self.task = task }

    /// The id of the task, the same for every attempt: a key for external effects that a second attempt must not
    /// repeat.
    public var idempotencyKey: String { task.id }
    /// The number of this attempt, from 1.
    public var attempt: Int { task.attempt }
    /// When the time-out cancels the attempt; nil if there is no time-out.
    public var deadline: ContinuousClock.Instant? { task.deadline }
    /// How much time is left, never below zero; nil if there is no time-out.
    public var timeLeft: Duration? { task.deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) } }
    /// Whether the attempt must end: its time is over, the batch was cancelled, or the worker leaves.
    public var isCancelled: Bool { Task.isCancelled }

    /// Throws if the attempt must end; call this regularly in work that does not suspend.
    public func checkCancellation() throws { try Task.checkCancellation() }

    /// Decodes the parameters of the task: the flow's, overridden by those of the batch.
    ///
    /// - Throws: ``FlowError`` of type ``FlowError/parametersType`` if they are not of that type.
    public func parameters<Parameters: Decodable>(as type: Parameters.Type = Parameters.self) throws -> Parameters {
        do {
            return try JSONDecoder().decode(type, from: Data(task.parameters.bytes))
        } catch let error as DecodingError {
            throw FlowError(type: FlowError.parametersType, message: "the object of parameters \(error.inWords)")
        }
    }
}

extension DecodingError {
    /// What is wrong with the decoded value, for people; follows the value's name in a message.
    fileprivate var inWords: String {
        func place(_ path: [any CodingKey]) -> String {
            path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        }
        switch self {
        case .keyNotFound(let key, let context):
            return "has no field '\(place(context.codingPath + [key]))'"
        case .valueNotFound(let type, let context):
            return "has null as '\(place(context.codingPath))', where \(type) was expected"
        case .typeMismatch(let type, let context):
            let path = place(context.codingPath)
            return path.isEmpty ? "is not of type \(type)" : "has something as '\(path)' that is not of type \(type)"
        case .dataCorrupted(let context):
            let path = place(context.codingPath)
            return "has a value\(path.isEmpty ? "" : " as '\(path)'") that cannot be read: \(context.debugDescription)"
        @unknown default: return "cannot be read: \(self)"
        }
    }
}

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
/// A record that is not an `Input` fails its task with the error `record`, which says what is missing.
public protocol TypedFlow: Flow {
    /// What a record is: an object, or `String` for lines and files.
    associatedtype Input: Decodable
    /// What the flow makes of it.
    associatedtype Output: Encodable

    /// Runs one attempt and returns its output; throws ``FlowError`` or any other error where it fails.
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

/// What a flow of a type of its own may want to know of its task.
public struct FlowContext: Sendable {
    /// The task, with the record as it came.
    public let task: FlowTask

    /// Makes a context.
    public init(task: FlowTask) { self.task = task }

    /// The id of the task, the same for every attempt; a key for effects outside, which a second attempt must not repeat.
    public var idempotencyKey: String { task.id }
    /// Which attempt this is, from 1.
    public var attempt: Int { task.attempt }
    /// When the attempt is cancelled, by its time-out; nil where it has none.
    public var deadline: ContinuousClock.Instant? { task.deadline }
    /// How much time is left, never below zero; nil where there is no end.
    public var timeLeft: Duration? { task.deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) } }
    /// Whether the attempt is to end: its time is over, the batch was cancelled, or the worker leaves.
    public var isCancelled: Bool { Task.isCancelled }

    /// Throws where the attempt is to end; call it now and then in work that does not wait for anything.
    public func checkCancellation() throws { try Task.checkCancellation() }

    /// The parameters of the task, the batch's laid over the flow's.
    ///
    /// - Throws: ``FlowError`` of type `parameters` where they are not of that type.
    public func parameters<Parameters: Decodable>(as type: Parameters.Type = Parameters.self) throws -> Parameters {
        do {
            return try JSONDecoder().decode(type, from: Data(task.parameters.bytes))
        } catch let error as DecodingError {
            throw FlowError(type: "parameters", message: "the object of parameters \(error.inWords)")
        }
    }
}

extension DecodingError {
    /// What is wrong with the value that was read, for people, to follow its name.
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

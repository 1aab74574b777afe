public import SheafCore

/// What to do with a record; conform a type of your own to run Swift code for each task.
///
/// A flow is used by many tasks at once. It may run a task more than once (after a crash, or as a retry), so effects
/// outside should be keyed by ``FlowTask/id``. When the time-out passes or the batch is cancelled with `--now`, the Swift
/// task is cancelled; a flow must then end soon.
public protocol Flow: Sendable {
    /// Runs one attempt and returns its output; throws ``FlowError`` or any other error where it fails, and
    /// ``FlowThrottle`` where the service it calls is to be left alone for a while.
    func run(_ task: FlowTask) async throws -> FlowOutput

    /// Lets go of what the flow holds between tasks, such as processes and connections; no task runs any more.
    ///
    /// A flow that holds nothing need not have it.
    func shutDown() async
}

extension Flow {
    /// Does nothing.
    public func shutDown() async {}
}

/// One attempt at a task, as a flow sees it.
public struct FlowTask: Sendable {
    /// The batch.
    public var batch: Name
    /// The task's number within the batch.
    public var index: Int
    /// The record.
    public var record: Record
    /// The flow's parameters, the batch's laid over its defaults: an object.
    public var parameters: JSONValue
    /// Which attempt this is, from 1.
    public var attempt: Int
    /// Brings questions to people; nil where the batch is not interactive.
    public var asker: (any FlowAsker)?
    /// When the attempt is cancelled, by its time-out; nil where it has none, or where it is one of several tasks handed over at
    /// once, whose time-out begins when the one before has ended.
    public var deadline: ContinuousClock.Instant?

    /// Makes a task.
    public init(
        batch: Name,
        index: Int,
        record: Record,
        parameters: JSONValue = [:],
        attempt: Int = 1,
        asker: (any FlowAsker)? = nil
    ) {
        self.batch = batch
        self.index = index
        self.record = record
        self.parameters = parameters
        self.attempt = attempt
        self.asker = asker
    }

    /// The id of the task, the same for every attempt: `batch:index`.
    public var id: String { "\(batch.text):\(index)" }
}

/// What a flow returns.
public enum FlowOutput: Sendable, Equatable {
    /// JSON text that is known to be valid.
    case json([UInt8])
    /// A text.
    case text(String)
    /// A JSON value.
    case value(JSONValue)
    /// An output, and what it took: that is added up over the batch.
    indirect case metered(FlowOutput, Usage)

    /// What the output took, where that is known.
    public var usage: Usage {
        if case .metered(_, let usage) = self { usage } else { Usage() }
    }

    /// The output as JSON text on one line.
    public var json: [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .json(let text): JSON.writeOnOneLine(text, to: &bytes)
        case .text(let text): JSON.write(text, to: &bytes)
        case .value(let value): value.write(to: &bytes)
        case .metered(let output, _): return output.json
        }
        return bytes
    }
}

/// Why an attempt failed, and whether another may succeed.
public struct FlowError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind, short and with dashes, such as `exit-code`.
    public var type: String
    /// What happened, for people.
    public var message: String
    /// Whether the task may be tried again later, where the flow's definition does not say what may be.
    public var isRetryable: Bool
    /// The exit code of the program, where that is what failed.
    public var exitCode: Int?

    /// Makes an error.
    public init(type: String, message: String, isRetryable: Bool = false, exitCode: Int? = nil) {
        self.type = type
        self.message = message
        self.isRetryable = isRetryable
        self.exitCode = exitCode
    }

    /// The type of the error of an attempt that was ended from outside, by a cancel or because the worker leaves.
    public static let cancelledType = "cancelled"

    /// The kind and the message.
    public var description: String { "\(type): \(message)" }
}

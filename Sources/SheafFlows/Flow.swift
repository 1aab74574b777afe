package import Logging
public import SheafCore

/// What to do with a record; conform a type of your own to run Swift code for each task.
///
/// One flow value runs many tasks concurrently. A task may run more than once (after a crash, or as a retry), so key
/// external effects by ``FlowTask/id``. When the time-out passes, or the batch is cancelled with `--now`, the Swift
/// task is cancelled; the flow must then end soon.
public protocol Flow: Sendable {
    /// Runs one attempt at a task and returns its output.
    ///
    /// - Throws: ``FlowError`` or any other error if the attempt fails; ``FlowThrottle`` if the service that the flow
    ///   calls asks for a pause.
    func run(_ task: FlowTask) async throws -> FlowOutput

    /// Releases what the flow holds between tasks, such as processes and connections.
    ///
    /// No task runs when this is called. The default implementation does nothing.
    func shutDown() async
}

extension Flow {
    /// Does nothing.
    public func shutDown() async {}
}

/// One attempt at a task, as a flow receives it.
public struct FlowTask: Sendable {
    /// The batch.
    public var batch: Name
    /// The task's number within the batch.
    public var index: Int
    /// The record.
    public var record: Record
    /// The flow's parameters, overridden by those of the batch: an object.
    public var parameters: JSONValue
    /// The number of this attempt, from 1.
    public var attempt: Int
    /// Asks people questions; nil if the batch is not interactive.
    public var asker: (any FlowAsker)?
    /// When the time-out cancels the attempt.
    ///
    /// Nil if there is no time-out, or if the task was handed over together with others: its time-out then begins when
    /// the task before it has ended.
    public var deadline: ContinuousClock.Instant?
    /// A submission that was made by other means and has the request of this task; nil for most tasks.
    package var adopted: AdoptedSubmission?
    /// The place of the attempt in a trace, to pass on to what the flow calls, or nil if it is not traced.
    public var trace: TraceContext?

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
    /// A string.
    case text(String)
    /// A JSON value.
    case value(JSONValue)
    /// An output with its usage, which is summed up over the batch.
    indirect case metered(FlowOutput, Usage)

    /// The usage, empty if it is unknown.
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

/// Asks people a task's questions and returns their answers.
public protocol FlowAsker: Sendable {
    /// Waits for the answer to a question, without a limit of its own.
    ///
    /// A task that runs again after its worker died asks the same questions in the same order; those already answered
    /// return at once.
    func ask(_ question: Question) async throws -> String
}

/// A flow that can check whether this machine has what the flow needs.
package protocol ExaminableFlow: Flow {
    /// Looks for what the flow needs, without starting a program or sending a request.
    func examine() -> FlowExamination
}

/// What a flow uses, and whether it is available.
package struct FlowExamination: Sendable, Equatable {
    /// What the flow uses, for people, such as `runs /usr/bin/wc`.
    package var use: String
    /// Why the flow cannot work here, for people; nil if no problem was found.
    package var problem: String?

    /// Makes an examination.
    package init(use: String, problem: String? = nil) {
        self.use = use
        self.problem = problem
    }
}

/// A flow that writes to a log while tasks run.
package protocol LoggingFlow: Flow {
    /// The log that the flow writes to.
    var logger: Logger { get set }
}

/// Returns the record as its output, for trials and benchmarks.
package struct EchoFlow: Flow {
    /// Makes the flow.
    package init() {}

    /// Returns the record.
    package func run(_ task: FlowTask) async throws -> FlowOutput {
        var bytes: [UInt8] = []
        task.record.writeJSON(to: &bytes)
        return .json(bytes)
    }
}

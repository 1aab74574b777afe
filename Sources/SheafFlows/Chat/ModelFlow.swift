package import SheafCore

/// A flow that asks a service of models with one request for each task.
///
/// The requests can also be sent together with others, so building a request and reading its answer are separate.
package protocol ModelFlow: ExaminableFlow {
    /// The service that is asked.
    var service: ModelService { get }
    /// The path of the requests below the service's base URL, such as `/chat/completions`.
    var path: String { get }

    /// Returns the body of the request for a task.
    ///
    /// - Throws: ``FlowError`` of type `template` if the task does not fit into the flow's templates.
    func request(for task: FlowTask) throws(FlowError) -> JSONValue
    /// Returns the output of a task for the body of a successful answer.
    func output(of answer: JSONValue, for task: FlowTask) throws(FlowError) -> FlowOutput
}

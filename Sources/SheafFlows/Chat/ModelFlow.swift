package import SheafCore

/// A flow that asks a service of models with one request for each task.
///
/// The requests can also be sent together with others, so building a request and reading its answer are separate.
package protocol ModelFlow: ExaminableFlow {
    /// The service that is asked.
    var service: ModelService { get }
    /// The path of the requests below the service's base URL, such as `/chat/completions`; `{model}` stands for the
    /// model.
    var path: String { get }
    /// The model that every task asks; nil if a template decides.
    var fixedModel: String? { get }
    /// Whether answers have tokens of their own that are paid for; embeddings have none.
    var hasOutputTokens: Bool { get }
    /// What jobs of a cloud need; nil if the service needs nothing that is configured.
    var cloud: ModelCloud? { get }

    /// Returns the request for a task.
    ///
    /// - Throws: ``FlowError`` of type `template` if the task does not fit into the flow's templates.
    func request(for task: FlowTask) throws(FlowError) -> ModelRequest
    /// Returns the output of a task for the body of a successful answer.
    func output(of answer: JSONValue, for task: FlowTask) throws(FlowError) -> FlowOutput
}

extension ModelFlow {
    package var cloud: ModelCloud? { nil }
}

/// A request to a service of models.
package struct ModelRequest: Sendable, Equatable {
    /// The model that is asked.
    package var model: String
    /// The path below the service's base URL.
    package var path: String
    /// The body.
    package var body: JSONValue
    /// How many inputs a list in the body has; nil if the body has one input that is no list.
    package var listed: Int?

    package init(model: String, path: String, body: JSONValue, listed: Int? = nil) {
        self.model = model
        self.path = path
        self.body = body
        self.listed = listed
    }

    /// How many inputs the body has.
    package var inputs: Int { listed ?? 1 }
}

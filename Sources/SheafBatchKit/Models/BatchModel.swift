public import SheafCore
public import SheafFlows

/// A model that requests are sent to, and what every request asks for.
public struct BatchModel: Sendable {
    /// What a model is asked for.
    enum Kind: String, Sendable {
        case chat, embedding
    }

    let kind: Kind
    /// Where the model is.
    public let provider: ModelProvider
    /// The name of the model; a request may name another one.
    public let name: String
    /// Further members of each request that does not have them itself, such as `temperature`: an object.
    public let arguments: JSONValue

    /// Names a chat model.
    ///
    /// - Parameters:
    ///   - name: The model, such as `gpt-5-mini`; a request may name another one.
    ///   - provider: Where the model is.
    ///   - arguments: Further members of each request that does not have them itself, such as `temperature`.
    public static func chat(_ name: String, at provider: ModelProvider, arguments: JSONValue = [:]) -> BatchModel {
        BatchModel(kind: .chat, provider: provider, name: name, arguments: arguments)
    }

    /// Names a model for embeddings.
    ///
    /// - Parameters:
    ///   - name: The model, such as `text-embedding-3-small`; a request may name another one.
    ///   - provider: Where the model is.
    ///   - arguments: Further members of each request that does not have them itself, such as `dimensions`.
    public static func embedding(
        _ name: String,
        at provider: ModelProvider,
        arguments: JSONValue = [:]
    ) -> BatchModel {
        BatchModel(kind: .embedding, provider: provider, name: name, arguments: arguments)
    }

    /// Returns the definition of the flow that sends requests to the model.
    ///
    /// The records of the flow are ``BatchRequest``s: objects with `messages` or `input` and further members of the
    /// request, or complete lines of OpenAI's batch format.
    ///
    /// - Parameters:
    ///   - name: The name of the flow.
    ///   - mode: Whether requests are sent one by one or together.
    /// - Throws: ``SheafError`` with `invalid` if the model or its provider cannot be used.
    public func definition(name: Name, mode: BatchMode) throws -> FlowDefinition {
        let requests = try RequestFlow(self)
        switch mode {
        case .live: return FlowDefinition(name: name, flow: requests, timeout: kind.timeout)
        case .bulk(let options):
            return FlowDefinition(name: name, flow: options.flow(requests, to: provider.format))
        }
    }
}

extension BatchModel.Kind {
    /// How long a request that is sent by itself may take.
    fileprivate var timeout: Duration { self == .chat ? .seconds(600) : .seconds(60) }
}

public import Logging

/// A flow that has something to say while tasks run.
public protocol LoggingFlow: Flow {
    /// Where it says it.
    var logger: Logger { get set }
}

extension FlowDefinition {
    /// The definition of a flow that writes to this log.
    public func logging(to logger: Logger) -> FlowDefinition {
        var definition = self
        if var flow = definition.flow as? any LoggingFlow {
            flow.logger = logger
            definition.flow = flow
        }
        return definition
    }
}

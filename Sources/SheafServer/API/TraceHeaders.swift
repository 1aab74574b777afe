import HTTPTypes
import Hummingbird
import SheafCore

extension Request {
    /// The place in a trace that the client sends with the headers of W3C Trace Context; nil without a valid one.
    var trace: TraceContext? {
        guard let name = HTTPField.Name(TraceContext.parentHeader), let parent = headers[name] else { return nil }
        let state = HTTPField.Name(TraceContext.stateHeader).flatMap { headers[$0] }
        return TraceContext(traceParent: parent, traceState: state)
    }
}

extension TraceContext {
    /// What the description of the API says about the headers.
    static let parameters = [
        Operation.Parameter.header(
            parentHeader,
            .string,
            "The trace that the tasks belong to (W3C Trace Context); ignored if it is invalid."
        ),
        .header(stateHeader, .string, "The state of that trace."),
    ]
}

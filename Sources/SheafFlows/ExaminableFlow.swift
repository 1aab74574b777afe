/// A flow that can tell whether it has what it needs on this machine.
public protocol ExaminableFlow: Flow {
    /// Looks for what the flow needs; starts nothing and asks nobody.
    func examine() -> FlowExamination
}

/// What a flow uses, and whether that is there.
public struct FlowExamination: Sendable, Equatable {
    /// What it uses, for people, such as `runs /usr/bin/wc`.
    public var use: String
    /// Why it can not work here, for people; nil where nothing is known that keeps it from it.
    public var problem: String?

    /// Makes an examination.
    public init(use: String, problem: String? = nil) {
        self.use = use
        self.problem = problem
    }
}

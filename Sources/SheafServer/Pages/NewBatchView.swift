import SheafCore

/// The form that creates a batch from a file.
struct NewBatchView {
    let base: String
    let flows: [String]
    let hasFlows: Bool
    let commands: [String]

    init(flows: [String], base: String) {
        self.base = base
        self.flows = flows
        hasFlows = !flows.isEmpty
        commands = ["sheaf create \(flows.first ?? "FLOW") FILE"]
    }
}

/// A page that says why another one cannot be shown.
struct ProblemView {
    let base: String
    let code: String
    let head: String
    let text: String
}

/// The form that exchanges a token for a session of the browser.
struct SignInView {
    let base: String
    let problem: String?
    /// Where to go afterwards, below the prefix.
    let target: String
}

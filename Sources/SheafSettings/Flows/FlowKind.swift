package import SheafFlows

/// A kind of flow: the key that selects it in a flow's entry, and how the entry is read.
///
/// Another target can add a kind with a key of its own: see ``FlowKinds/adding(_:)``.
package protocol FlowKind: Sendable {
    /// The key that selects the kind, such as `exec`.
    var key: String { get }
    /// How the key is written, for error messages, such as `echo: true`.
    var example: String { get }
    /// The keys beside the kind's own that not every kind uses, such as `directory`.
    var options: [String] { get }
    /// Whether the value of the key may contain secrets as `${NAME}`.
    var hasSecrets: Bool { get }
    /// Returns the variables of the environment that a value of the key uses without naming them.
    ///
    /// - Parameter parts: The strings and numbers in the value, by key.
    func impliedVariables(in parts: [String: String]) -> ImpliedVariables
    /// The time-out of an attempt if the entry has none; nil means no time-out.
    var timeout: Duration? { get }

    /// Whether a value of the key selects the kind; `echo: false` does not.
    func isSelected(by value: SettingsReader) throws(SettingsError) -> Bool
    /// Reads a flow from its entry.
    func read(_ entry: FlowEntry) throws(SettingsError) -> any Flow
    /// Returns what is doubtful about a flow, each with its place.
    func warnings(of flow: any Flow, in entry: FlowEntry) -> [SettingsError]
    /// Whether failures of such flows may have an error type that is not in the common list.
    func canFail(with type: String) -> Bool
}

extension FlowKind {
    package var example: String { key }
    package var options: [String] { [] }
    package var hasSecrets: Bool { false }
    package var timeout: Duration? { nil }
    package func impliedVariables(in parts: [String: String]) -> ImpliedVariables {
        ImpliedVariables()
    }
    package func isSelected(by value: SettingsReader) throws(SettingsError) -> Bool { true }
    package func warnings(of flow: any Flow, in entry: FlowEntry) -> [SettingsError] { [] }
    package func canFail(with type: String) -> Bool { false }
}

/// The variables of the environment that a flow uses without naming them.
package struct ImpliedVariables: Sendable {
    /// Those that a worker needs.
    package var needed: [String] = []
    /// Those that may be unset.
    package var optional: [String] = []
}

/// The kinds of flow that a configuration may use.
package struct FlowKinds: Sendable {
    /// The kinds that Sheaf brings.
    package static let standard = FlowKinds([
        ExecKind(), ProcessKind(), HTTPKind(), ChatKind(), EmbeddingKind(), EchoKind(), SwiftKind(),
    ])

    let list: [any FlowKind]

    /// Creates a list; messages name the kinds in this order.
    package init(_ list: [any FlowKind]) { self.list = list }

    /// Returns these kinds and one more.
    package func adding(_ kind: any FlowKind) -> FlowKinds { FlowKinds(list + [kind]) }

    /// The keys that select a kind.
    var keys: [String] { list.map(\.key) }

    /// The keys that only some kinds use, each once.
    var options: [String] {
        var options: [String] = []
        for option in list.flatMap(\.options) where !options.contains(option) { options.append(option) }
        return options
    }

    /// Returns the only kind of a flow; throws ``SettingsError`` if it has none or more than one.
    func kind(
        of members: [String: SettingsReader],
        _ reader: SettingsReader
    ) throws(SettingsError) -> (kind: any FlowKind, value: SettingsReader) {
        var found: (kind: any FlowKind, value: SettingsReader)?
        for kind in list {
            guard let value = members[kind.key], try kind.isSelected(by: value) else { continue }
            if let found { throw reader.error("it has both \(found.kind.key) and \(kind.key); a flow does one thing") }
            found = (kind, value)
        }
        guard let found else {
            let examples = list.map(\.example)
            let choice = examples.dropLast().joined(separator: ", ") + " or " + (examples.last ?? "")
            throw reader.error("it does not say what to run; add \(choice)")
        }
        for key in options where !found.kind.options.contains(key) {
            guard let member = members[key] else { continue }
            let kinds = list.filter { $0.options.contains(key) }.map(\.key).joined(separator: " or ")
            throw member.error("only a flow with \(kinds) can have this key")
        }
        return found
    }
}

/// A flow that returns the record.
struct EchoKind: FlowKind {
    let key = "echo"
    let example = "echo: true"

    func isSelected(by value: SettingsReader) throws(SettingsError) -> Bool { try value.bool() }
    func read(_ entry: FlowEntry) throws(SettingsError) -> any Flow { EchoFlow() }
}

/// A flow that is a Swift type in another program, so that `create` knows its name and its defaults.
struct SwiftKind: FlowKind {
    let key = "swift"
    let example = "swift: true"

    /// The keys that only a worker uses; the worker of such a flow is another program.
    private static let workerKeys = [
        "timeout", "retries", "retry_delay", "retry_max_delay", "retry_on", "rate", "limit", "answer_timeout",
    ]

    func isSelected(by value: SettingsReader) throws(SettingsError) -> Bool { try value.bool() }
    func read(_ entry: FlowEntry) throws(SettingsError) -> any Flow { ExternalFlow() }

    func warnings(of flow: any Flow, in entry: FlowEntry) -> [SettingsError] {
        Self.workerKeys.compactMap { key in
            entry.members[key]?.error("it has no effect with swift: true; the program that runs the flow sets it")
        }
    }
}

/// Stands for a flow that only another program can run.
struct ExternalFlow: ExaminableFlow {
    func run(_ task: FlowTask) async throws -> FlowOutput {
        throw FlowError(type: "not-here", message: "the flow is a Swift type in another program")
    }

    func examine() -> FlowExamination { FlowExamination(use: "a Swift type in another program") }
}

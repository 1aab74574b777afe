import SheafFlows

/// The things that a flow can do; each is the key that says so.
enum FlowKind: String, CaseIterable {
    case exec, process, http, chat, embedding, echo

    /// The keys beside the kind's own that only some kinds have a use for.
    static let specialKeys = ["directory", "environment", "max_output", "max_tasks"]

    /// Those of them that this kind has a use for.
    var keys: Set<String> {
        switch self {
        case .exec: ["directory", "environment", "max_output"]
        case .process: ["directory", "environment", "max_output", "max_tasks"]
        case .http, .chat, .embedding: ["max_output"]
        case .echo: []
        }
    }

    /// Whether flows of this kind may hold secrets as `${NAME}`.
    var hasSecrets: Bool {
        switch self {
        case .http, .chat, .embedding: true
        case .exec, .process, .echo: false
        }
    }

    /// How long an attempt may take where nothing is said: a server that never answers must not keep a slot for ever.
    var timeout: Duration? {
        switch self {
        case .http, .embedding: .seconds(60)
        case .chat: .seconds(600)
        case .exec, .process, .echo: nil
        }
    }

    /// The only kind of a flow.
    ///
    /// - Throws: ``SettingsError`` where it has none, or more than one.
    static func of(_ members: [String: SettingsReader], _ reader: SettingsReader) throws(SettingsError) -> FlowKind {
        var found: FlowKind?
        for kind in allCases {
            guard let member = members[kind.rawValue] else { continue }
            if kind == .echo, try !member.bool() { continue }
            if let found {
                throw reader.error("it has both \(found.rawValue) and \(kind.rawValue); a flow does one thing")
            }
            found = kind
        }
        guard let found else {
            throw reader.error(
                """
                it says nothing to do; give it exec: ["program", "argument"], process, http, chat, embedding or echo: true
                """
            )
        }
        for key in specialKeys where !found.keys.contains(key) {
            guard let member = members[key] else { continue }
            let kinds = allCases.filter { $0.keys.contains(key) }.map(\.rawValue).joined(separator: " or ")
            throw member.error("only a flow with \(kinds) has a use for it")
        }
        return found
    }
}

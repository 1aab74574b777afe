import OrderedCollections
import SheafFlows

/// The variables of the environment that flows name as `${NAME}`.
struct FlowSecrets: Sendable {
    /// The names, in the order in which they stand.
    let names: [String]

    /// Finds the names in those parts of a flow in which they are replaced.
    init(in flow: SettingsNode) {
        var names: [String] = []
        if case .mapping(let members) = flow.value {
            for kind in FlowKind.allCases where kind.hasSecrets {
                guard let node = members[kind.rawValue], case .mapping(let parts) = node.value else { continue }
                for (key, part) in parts where !Self.literalKeys.contains(key) { Self.collect(part, into: &names) }
            }
        }
        self.names = names
    }

    /// The parts in which `${NAME}` stands for itself.
    private static let literalKeys: Set<String> = ["messages", "prompt", "system", "input", "options"]

    /// The values of those that are set.
    func values(_ environment: [String: String]) -> [String: String] {
        environment.filter { names.contains($0.key) }
    }

    private static func collect(_ node: SettingsNode, into names: inout [String]) {
        switch node.value {
        case .list(let elements): for element in elements { collect(element, into: &names) }
        case .mapping(let members): for member in members.values { collect(member, into: &names) }
        case .scalar(let scalar):
            for match in scalar.text.matches(of: /\$\{([A-Za-z0-9_]+)\}/) where !names.contains(String(match.1)) {
                names.append(String(match.1))
            }
        }
    }
}

/// What flows share a limit by: a name that several of them give, or else the flow itself.
public enum RateLimitKey: Sendable, Hashable, CustomStringConvertible {
    /// A limit with a name, for whichever flows name it.
    case shared(Name)
    /// The limit that a flow has for itself.
    case flow(Name)

    /// Reads a key as it stands on the wire: `limit.<name>` or `flow.<flow>`; nil where it is none.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let name = Name(parts[1]) else { return nil }
        switch parts[0] {
        case "limit": self = .shared(name)
        case "flow": self = .flow(name)
        default: return nil
        }
    }

    /// The key as it stands on the wire.
    public var text: String {
        switch self {
        case .shared(let name): "limit.\(name)"
        case .flow(let name): "flow.\(name)"
        }
    }

    /// The key for people.
    public var description: String {
        switch self {
        case .shared(let name): "limit '\(name)'"
        case .flow(let name): "flow '\(name)'"
        }
    }
}

/// Says why a flow cannot be defined as it is written, or what is doubtful about it.
public struct FlowConfigurationProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// Which option it is about: the flow's `exec`, one of its arguments, or another key.
    public enum Place: Sendable, Equatable {
        /// The list of arguments as a whole.
        case arguments
        /// One argument, counted from 0, which is the program.
        case argument(Int)
        /// A variable of `environment`.
        case environment(String)
        /// Another option of the flow, by its path of keys.
        case key(String)
    }

    /// Which option it is about.
    public var place: Place
    /// What is wrong, for people.
    public var message: String

    /// Makes a problem.
    public init(_ place: Place, _ message: String) {
        self.place = place
        self.message = message
    }

    /// The place as a key path with the message.
    public var description: String {
        switch place {
        case .arguments: "exec: \(message)"
        case .argument(let position): "exec[\(position)]: \(message)"
        case .environment(let name): "environment.\(name): \(message)"
        case .key(let key): "\(key): \(message)"
        }
    }
}

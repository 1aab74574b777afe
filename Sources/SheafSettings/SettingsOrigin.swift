/// Where a value of the configuration comes from.
public enum SettingsOrigin: Sendable, Hashable, CustomStringConvertible {
    /// A line of a file, counted from 1.
    case file(path: String, line: Int)
    /// A variable of the environment.
    case environment(String)
    /// A flag of the command line, such as `--broker` or `--set namespace`.
    case flag(String)
    /// Nobody said anything.
    case builtIn

    /// The origin as it stands in messages; never the value itself, which may be secret.
    public var description: String {
        switch self {
        case .file(let path, let line): "\(path):\(line)"
        case .environment(let name): "the environment variable \(name)"
        case .flag(let name): name
        case .builtIn: "the default"
        }
    }
}

/// An error in the configuration, with its place.
package struct SettingsError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where the value comes from, or nil if the error is about no value, such as a missing file.
    package let origin: SettingsOrigin?
    /// The key, such as `flows.wordcount.timeout`; empty if the error is about no key.
    package let keyPath: String
    /// What is wrong, for people; never contains credentials.
    package let message: String

    /// Creates an error.
    package init(_ message: String, at keyPath: String = "", from origin: SettingsOrigin? = nil) {
        self.message = message
        self.keyPath = keyPath
        self.origin = origin
    }

    /// Place, key and message, as in `sheaf.yaml:7: flows.a.timeout: expected …`.
    package var description: String {
        let parts = [origin?.description, isKeyInOrigin ? nil : keyPath, message]
        return parts.compactMap(\.self).joined(separator: ": ")
    }

    /// Whether the origin already names the key, or there is no key to name.
    private var isKeyInOrigin: Bool {
        switch origin {
        case .flag(let name): keyPath.isEmpty || name == "--set \(keyPath)" || name == "--\(keyPath)"
        case .environment(let name): keyPath.isEmpty || name == "SHEAF_\(keyPath.uppercased())"
        default: keyPath.isEmpty
        }
    }
}

/// The place that a value of the configuration comes from.
package enum SettingsOrigin: Sendable, Hashable, CustomStringConvertible {
    /// A line of a file, counted from 1.
    case file(path: String, line: Int)
    /// A variable of the environment.
    case environment(String)
    /// A flag of the command line, such as `--broker` or `--set namespace`.
    case flag(String)
    /// The default.
    case builtIn

    /// The origin for messages; never the value itself, which may be secret.
    package var description: String {
        switch self {
        case .file(let path, let line): "\(path):\(line)"
        case .environment(let name): "the environment variable \(name)"
        case .flag(let name): name
        case .builtIn: "the default"
        }
    }
}

/// Says what is wrong with the configuration, and where.
public struct SettingsError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where it is wrong; nil where it concerns no value, such as a file that is missing.
    public let origin: SettingsOrigin?
    /// The key, such as `flows.wordcount.timeout`; empty where it concerns none.
    public let keyPath: String
    /// What is wrong, for people; never contains credentials.
    public let message: String

    /// Makes an error.
    public init(_ message: String, at keyPath: String = "", from origin: SettingsOrigin? = nil) {
        self.message = message
        self.keyPath = keyPath
        self.origin = origin
    }

    /// Place, key and message, as in `sheaf.yaml:7: flows.a.timeout: expected …`.
    public var description: String {
        let parts = [origin?.description, isKeyInOrigin ? nil : keyPath, message]
        return parts.compactMap(\.self).joined(separator: ": ")
    }

    /// Whether the origin names the key already, or there is none to name.
    private var isKeyInOrigin: Bool {
        switch origin {
        case .flag(let name): keyPath.isEmpty || name == "--set \(keyPath)" || name == "--\(keyPath)"
        case .environment(let name): keyPath.isEmpty || name == "SHEAF_\(keyPath.uppercased())"
        default: keyPath.isEmpty
        }
    }
}

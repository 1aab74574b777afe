import SheafBroker
import SheafCore

/// Reads `broker:` and replaces variables of the environment in it.
struct BrokerReader {
    /// The expected form, for error messages.
    private static let rule =
        "amqp://user:password@host:port/vhost, the same with amqps, 'embedded', or 'embedded:' and a folder"

    private let reader: SettingsReader
    private let environment: [String: String]
    private let folder: ConfigurationFolder
    private let schemes: [String]

    init(
        _ reader: SettingsReader,
        environment: [String: String],
        folder: ConfigurationFolder,
        schemes: [String]
    ) {
        self.reader = reader
        self.environment = environment
        self.folder = folder
        self.schemes = schemes
    }

    /// Reads the broker; also returns the variables it uses, which programs must not see.
    func read() throws(SettingsError) -> (broker: BrokerReference, variables: Set<String>) {
        var text = try reader.nonEmptyText(Self.rule)
        var variables: Set<String> = []
        if case .file = reader.node.origin { (text, variables) = try reader.expanded(text, environment) }
        if text == "embedded" { return (.embedded(directory: folder.path(".sheaf")), variables) }
        if text.hasPrefix("embedded:"), text.count > 9 {
            return (.embedded(directory: folder.path(String(text.dropFirst(9)))), variables)
        }
        // The message never quotes the value, which may contain a password.
        guard isURL(text) else { throw reader.error("expected \(Self.rule)") }
        return (BrokerReference(text), variables)
    }

    /// Whether a string is a URL of a known scheme with something after `://`.
    private func isURL(_ text: String) -> Bool {
        guard let separator = text.firstRange(of: "://") else { return false }
        return schemes.contains(String(text[..<separator.lowerBound])) && separator.upperBound < text.endIndex
            && !text.contains(where: \.isWhitespace)
    }
}

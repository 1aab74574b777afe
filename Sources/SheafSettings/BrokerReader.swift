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
        if case .file = reader.node.origin { (text, variables) = try expanded(text) }
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

    private func expanded(_ text: String) throws(SettingsError) -> (String, Set<String>) {
        var output = ""
        var variables: Set<String> = []
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            output += rest[..<start.lowerBound]
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                throw reader.error("'${' without '}'")
            }
            let name = String(rest[start.upperBound..<end])
            guard let value = environment[name] else {
                throw reader.error("the environment variable '\(name)' is not set")
            }
            rest = rest[rest.index(after: end)...]
            variables.insert(name)
            // Between '://' and '@', a variable is a user or a password, which a URL has to encode.
            let isCredential = output.contains("://") && rest.contains("@")
            output += isCredential ? PercentEncoding.encode(value) : value
        }
        return (output + rest, variables)
    }
}

/// Reads `server:`.
struct ServerReader {
    private static let keys = ["host", "port", "prefix", "public_url", "tls", "tokens", "allowed_hosts"]
    /// The shortest token; with fewer characters it can be guessed.
    private static let shortestToken = 16
    private static let tokenRule = "a token of at least \(shortestToken) letters, digits or -._~+/=, or ${NAME}"

    private let members: [String: SettingsReader]
    private let environment: [String: String]
    private let folder: ConfigurationFolder

    init(
        _ reader: SettingsReader,
        environment: [String: String],
        folder: ConfigurationFolder
    ) throws(SettingsError) {
        members = try reader.members(knowing: Self.keys)
        self.environment = environment
        self.folder = folder
    }

    func read() throws(SettingsError) -> ServerSettings {
        var settings = ServerSettings()
        settings.host = try members["host"]?.nonEmptyText("an address or a host name")
        settings.port = try members["port"]?.int(in: 0...65_535)
        if let prefix = members["prefix"] {
            guard let normal = ServerSettings.normalPrefix(try prefix.text(ServerSettings.prefixRule)) else {
                throw prefix.expected(ServerSettings.prefixRule)
            }
            settings.prefix = normal
        }
        if let url = members["public_url"] {
            guard let normal = ServerSettings.normalPublicURL(try url.text(ServerSettings.publicURLRule)) else {
                throw url.expected(ServerSettings.publicURLRule)
            }
            settings.publicURL = normal
        }
        if let tls = members["tls"] {
            let files = try tls.members(knowing: ["certificate", "key"])
            guard let certificate = files["certificate"], let key = files["key"] else {
                throw tls.error("it needs both certificate and key")
            }
            settings.certificate = folder.path(try certificate.nonEmptyText("a file"))
            settings.key = folder.path(try key.nonEmptyText("a file"))
        }
        settings.allowedHosts = try members["allowed_hosts"]?.strings("a host name or a list of them") ?? []
        for (number, entry) in (try members["tokens"]?.elements("a list of tokens") ?? []).enumerated() {
            settings.tokens.append(try token(entry, number: number + 1))
        }
        return settings
    }

    private func token(_ entry: SettingsReader, number: Int) throws(SettingsError) -> ServerSettings.Token {
        let parts = try entry.members(knowing: ["token", "scope", "name"])
        guard let secret = parts["token"] else { throw entry.error("it has no token, such as ${SHEAF_TOKEN}") }
        let scopes = AccessScope.allCases.map(\.rawValue).joined(separator: " or ")
        guard let scope = parts["scope"] else { throw entry.error("it has no scope: \(scopes)") }
        guard let allowed = AccessScope(rawValue: try scope.text(scopes)) else { throw scope.expected(scopes) }
        let name = try parts["name"]?.nonEmptyText("a name") ?? "token \(number)"
        let text = try secret.nonEmptyText(Self.tokenRule)
        guard let match = text.wholeMatch(of: /\$\{([A-Za-z0-9_]+)\}/) else {
            // The message never quotes the value.
            guard isToken(text) else { throw secret.error("expected \(Self.tokenRule)") }
            return ServerSettings.Token(name: name, secret: text, scope: allowed)
        }
        let variable = String(match.1)
        let value = environment[variable]
        if let value, !isToken(value) {
            throw secret.error("the environment variable '\(variable)' does not hold \(Self.tokenRule)")
        }
        return ServerSettings.Token(name: name, secret: value, scope: allowed, variable: variable)
    }

    private func isToken(_ text: String) -> Bool {
        text.utf8.count >= Self.shortestToken && text.wholeMatch(of: /[A-Za-z0-9._~+\/=-]+/) != nil
    }
}

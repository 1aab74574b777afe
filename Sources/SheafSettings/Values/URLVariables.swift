import SheafCore

extension SettingsReader {
    /// Replaces each `${NAME}` in a URL by a variable of the environment; also returns their names, which programs must
    /// not see.
    func expanded(
        _ text: String,
        _ environment: [String: String]
    ) throws(SettingsError) -> (text: String, variables: Set<String>) {
        var output = ""
        var variables: Set<String> = []
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            output += rest[..<start.lowerBound]
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                throw error("'${' without '}'")
            }
            let name = String(rest[start.upperBound..<end])
            guard let value = environment[name] else {
                throw error("the environment variable '\(name)' is not set")
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

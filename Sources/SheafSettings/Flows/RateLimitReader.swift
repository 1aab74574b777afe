import SheafCore

/// Reads `limits:` at the top, and `rate` and `limit` of a flow.
enum RateLimitReader {
    /// Reads the named limits, each with its rate or nil.
    static func limits(_ member: SettingsReader?) throws(SettingsError) -> [Name: RateLimit?] {
        var limits: [Name: RateLimit?] = [:]
        for entry in try member?.members("a map of limits by name, such as 'openai: 600/m'") ?? [] {
            guard let name = Name(entry.name) else {
                throw entry.value.error("'\(entry.name)' is not a valid limit name: \(Name.rule)")
            }
            limits.updateValue(try self.limit(entry.value), forKey: name)
        }
        return limits
    }

    /// Reads the limit of a flow: a named one, a rate of its own, or nil.
    static func limit(
        of flow: Name,
        _ members: [String: SettingsReader],
        among limits: [Name: RateLimit?]
    ) throws(SettingsError) -> FlowRateLimit? {
        if let member = members["limit"] {
            if members["rate"] != nil {
                throw member.error("it has both rate and limit; the rate belongs to the limit")
            }
            let text = try member.nonEmptyText("the name of a limit")
            guard let name = Name(text), let rate = limits[name] else {
                let known = limits.keys.map(\.text).sorted()
                let hint =
                    known.isEmpty
                    ? "; no limit is defined; add one at the top, as in 'limits: {\(text): 600/m}'"
                    : "; known limits are \(known.joined(separator: ", "))\(Suggestion.text(for: text, among: known))"
                throw member.error("unknown limit '\(text)'\(hint)")
            }
            return FlowRateLimit(key: .shared(name), rate: rate)
        }
        guard let member = members["rate"] else { return nil }
        return FlowRateLimit(key: .flow(flow), rate: try rate(member))
    }

    /// Reads one entry of `limits:`: a rate, or a map that may have one; without a rate, flows share only pauses.
    private static func limit(_ reader: SettingsReader) throws(SettingsError) -> RateLimit? {
        guard case .mapping = reader.node.value else { return try rate(reader) }
        guard let member = try reader.members(knowing: ["rate"])["rate"] else { return nil }
        return try rate(member)
    }

    private static func rate(_ reader: SettingsReader) throws(SettingsError) -> RateLimit {
        guard let rate = RateLimit(try reader.text(RateLimit.rule)) else {
            throw reader.error("expected \(RateLimit.rule), at most \(RateLimit.maximum)/s, found \(reader.node.found)")
        }
        return rate
    }
}

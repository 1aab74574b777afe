import OrderedCollections
import SheafCore

/// Reads one value as the type it must have; its errors name the place, the key, what was expected and what was found.
struct SettingsReader {
    let node: SettingsNode
    let keyPath: String

    func error(_ message: String) -> SettingsError {
        SettingsError(message, at: keyPath, from: node.origin)
    }

    func expected(_ what: String) -> SettingsError {
        error("expected \(what), found \(node.found)")
    }

    /// Any value without parts; `A: 1` means the text `1` where a text is wanted.
    func text(_ what: String = "a text") throws(SettingsError) -> String {
        guard case .scalar(let scalar) = node.value, scalar.kind != .null else { throw expected(what) }
        return scalar.text
    }

    func nonEmptyText(_ what: String) throws(SettingsError) -> String {
        let text = try text(what)
        if text.isEmpty { throw expected(what) }
        return text
    }

    func bool() throws(SettingsError) -> Bool {
        guard case .scalar(let scalar) = node.value, case .bool(let flag) = scalar.kind else {
            throw expected("true or false")
        }
        return flag
    }

    /// A whole number that is not below the minimum; flags and variables, which are texts, may hold one.
    func int(atLeast minimum: Int) throws(SettingsError) -> Int {
        let what = "a whole number of at least \(minimum)"
        guard case .scalar(let scalar) = node.value, scalar.kind != .null else { throw expected(what) }
        if scalar.kind == .text, case .file = node.origin { throw expected(what) }
        guard let value = JSONValue.number(scalar.text).intValue, value >= minimum else { throw expected(what) }
        return value
    }

    /// A time with its unit.
    func duration() throws(SettingsError) -> Duration {
        let text = try text(DurationText.rule)
        guard let duration = DurationText.parse(text) else {
            let hint = Double(text) == nil ? "" : "; add a unit, as in \(text)s"
            throw error("expected \(DurationText.rule), found \(node.found)\(hint)")
        }
        return duration
    }

    /// One text or a list of texts.
    func texts(_ what: String) throws(SettingsError) -> [String] {
        guard case .list = node.value else { return [try nonEmptyText(what)] }
        var texts: [String] = []
        for element in try elements(what) { texts.append(try element.nonEmptyText(what)) }
        return texts
    }

    func elements(_ what: String) throws(SettingsError) -> [SettingsReader] {
        guard case .list(let elements) = node.value else { throw expected(what) }
        return elements.enumerated().map { SettingsReader(node: $1, keyPath: "\(keyPath)[\($0)]") }
    }

    /// A map of which any key is allowed.
    func members(_ what: String) throws(SettingsError) -> [(name: String, value: SettingsReader)] {
        guard case .mapping(let members) = node.value else { throw expected(what) }
        return members.map { ($0.key, SettingsReader(node: $0.value, keyPath: child($0.key))) }
    }

    /// A map of texts.
    func textMap(_ what: String) throws(SettingsError) -> OrderedDictionary<String, String> {
        var texts: OrderedDictionary<String, String> = [:]
        for member in try members(what) { texts[member.name] = try member.value.text() }
        return texts
    }

    /// A map of which only these keys are allowed; those that stand for nothing are left out.
    func members(knowing known: [String]) throws(SettingsError) -> [String: SettingsReader] {
        var readers: [String: SettingsReader] = [:]
        for member in try members("a map") {
            guard known.contains(member.name) else {
                let suggestion = Suggestion.text(for: member.name, among: known)
                let hint = suggestion.isEmpty ? "; known are \(known.joined(separator: ", "))" : suggestion
                throw member.value.error("unknown key\(hint)")
            }
            if !member.value.node.isNull { readers[member.name] = member.value }
        }
        return readers
    }

    private func child(_ key: String) -> String {
        keyPath.isEmpty ? key : "\(keyPath).\(key)"
    }
}

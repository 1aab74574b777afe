package import OrderedCollections
package import SheafCore

/// Reads one value as the expected type; errors name the place, the key, the expectation and the value found.
package struct SettingsReader {
    let node: SettingsNode
    let keyPath: String

    /// The value as JSON.
    package var json: JSONValue { node.json }

    /// Returns an error about this value.
    package func error(_ message: String) -> SettingsError {
        SettingsError(message, at: keyPath, from: node.origin)
    }

    /// Returns an error that names the expectation and the value found.
    package func expected(_ what: String) -> SettingsError {
        error("expected \(what), found \(node.found)")
    }

    /// Reads a string; `A: 1` is the string `1` if a string is expected.
    package func text(_ what: String = "a string") throws(SettingsError) -> String {
        guard case .scalar(let scalar) = node.value, scalar.kind != .null else { throw expected(what) }
        return scalar.text
    }

    /// Reads a string that is not empty.
    package func nonEmptyText(_ what: String) throws(SettingsError) -> String {
        let text = try text(what)
        if text.isEmpty { throw expected(what) }
        return text
    }

    /// Reads true or false; variables are strings, so only a quoted value of the file is refused.
    package func bool() throws(SettingsError) -> Bool {
        guard case .scalar(let scalar) = node.value else { throw expected("true or false") }
        if case .bool(let flag) = scalar.kind { return flag }
        guard scalar.kind == .text, case .environment = node.origin, let flag = Bool(scalar.text) else {
            throw expected("true or false")
        }
        return flag
    }

    /// Reads an integer that is not below a minimum.
    package func int(atLeast minimum: Int) throws(SettingsError) -> Int {
        try int("an integer of at least \(minimum)") { $0 >= minimum }
    }

    /// Reads an integer in a range.
    package func int(in range: ClosedRange<Int>) throws(SettingsError) -> Int {
        try int("an integer from \(range.lowerBound) to \(range.upperBound)", range.contains)
    }

    /// Reads an integer; flags and variables are strings, so only a quoted value of the file is refused.
    private func int(_ what: String, _ isAllowed: (Int) -> Bool) throws(SettingsError) -> Int {
        guard case .scalar(let scalar) = node.value, scalar.kind != .null else { throw expected(what) }
        if scalar.kind == .text, case .file = node.origin { throw expected(what) }
        guard let value = JSONValue.number(scalar.text).intValue, isAllowed(value) else { throw expected(what) }
        return value
    }

    /// Reads a duration with its unit.
    package func duration() throws(SettingsError) -> Duration {
        let text = try text(DurationText.rule)
        guard let duration = DurationText.parse(text) else {
            let hint = Double(text) == nil ? "" : "; add a unit, as in \(text)s"
            throw error("expected \(DurationText.rule), found \(node.found)\(hint)")
        }
        return duration
    }

    /// Reads one string or a list of strings.
    package func strings(_ what: String) throws(SettingsError) -> [String] {
        guard case .list = node.value else { return [try nonEmptyText(what)] }
        var strings: [String] = []
        for element in try elements(what) { strings.append(try element.nonEmptyText(what)) }
        return strings
    }

    /// Reads the elements of a list.
    package func elements(_ what: String) throws(SettingsError) -> [SettingsReader] {
        guard case .list(let elements) = node.value else { throw expected(what) }
        return elements.enumerated().map { SettingsReader(node: $1, keyPath: "\(keyPath)[\($0)]") }
    }

    /// Reads a map with any keys.
    package func members(_ what: String) throws(SettingsError) -> [(name: String, value: SettingsReader)] {
        guard case .mapping(let members) = node.value else { throw expected(what) }
        return members.map { ($0.key, SettingsReader(node: $0.value, keyPath: child($0.key))) }
    }

    /// Reads a map of strings.
    package func stringMap(_ what: String) throws(SettingsError) -> OrderedDictionary<String, String> {
        var strings: OrderedDictionary<String, String> = [:]
        for member in try members(what) { strings[member.name] = try member.value.text() }
        return strings
    }

    /// Reads a map with only these keys; keys without a value are left out.
    package func members(knowing known: [String]) throws(SettingsError) -> [String: SettingsReader] {
        var readers: [String: SettingsReader] = [:]
        for member in try members("a map") {
            guard known.contains(member.name) else {
                let suggestion = Suggestion.text(for: member.name, among: known)
                let hint = suggestion.isEmpty ? "; known keys are \(known.joined(separator: ", "))" : suggestion
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

/// Finds the word that was probably meant.
package enum Suggestion {
    /// Returns the nearest candidates as an addition to a message, or an empty string if none is near.
    package static func text(for word: String, among candidates: [String]) -> String {
        let words = nearest(to: word, among: candidates).map { "'\($0)'" }
        return words.isEmpty ? "" : "; did you mean \(words.joined(separator: " or "))?"
    }

    /// Returns the candidates with the fewest different letters, or else those that begin with the word; at most 3.
    package static func nearest(to word: String, among candidates: [String]) -> [String] {
        let limit = max(1, min(3, word.count / 3))
        // The distance is at least the difference in length, so long strings are not compared.
        let near = candidates.filter { abs($0.count - word.count) <= limit }.map {
            (candidate: $0, distance: distance(word.lowercased(), $0.lowercased()))
        }
        let least = near.map(\.distance).min() ?? .max
        if least <= limit { return near.filter { $0.distance == least }.prefix(3).map(\.candidate) }
        return word.count < 2 ? [] : Array(candidates.filter { $0.hasPrefix(word.lowercased()) }.prefix(3))
    }

    /// Returns how many letters must be added, removed, replaced or swapped with their neighbour (Damerau–Levenshtein).
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left)
        let right = Array(right)
        var rows = [Array(0...right.count)]
        for (row, letter) in left.enumerated() {
            var next = [row + 1]
            for (column, other) in right.enumerated() {
                var best = min(
                    rows[row][column] + (letter == other ? 0 : 1),
                    rows[row][column + 1] + 1,
                    next[column] + 1
                )
                if row > 0, column > 0, letter == right[column - 1], left[row - 1] == other {
                    best = min(best, rows[row - 1][column - 1] + 1)
                }
                next.append(best)
            }
            rows.append(next)
        }
        return rows[left.count][right.count]
    }
}

import OrderedCollections

/// The rules for the tags of a batch: pairs of a key and a value by which users find it.
package enum Tags {
    /// The maximum number of tags of a batch.
    package static let maximumCount = 32
    /// The maximum size of a value in bytes.
    package static let maximumValueSize = 256
    /// The rule for one tag, for error messages.
    package static let rule =
        "key=value: a key of 1 to 64 letters, digits, '_', '.' or '-', and a value of at most 256 bytes without "
        + "control characters"

    /// Returns what is wrong with the tags, or nil if they are valid.
    package static func problem(of tags: [String: String]) -> String? {
        if tags.count > maximumCount { return "a batch has at most \(maximumCount) tags, not \(tags.count)" }
        for (key, value) in tags.sorted(by: { $0.key < $1.key }) where !isValid(key, value) {
            return "tag '\(key.prefix(80))' is invalid; a tag is \(rule)"
        }
        return nil
    }

    /// Splits `key=value`; returns nil if that is not a valid tag.
    package static func parse(_ text: String) -> (key: String, value: String)? {
        guard let equals = text.firstIndex(of: "=") else { return nil }
        let (key, value) = (String(text[..<equals]), String(text[text.index(after: equals)...]))
        return isValid(key, value) ? (key, value) : nil
    }

    /// Decodes tags from a JSON object; invalid members, and those above the maximum number, are left out.
    static func decode(_ json: JSONValue?) -> [String: String] {
        var tags: [String: String] = [:]
        for (key, member) in json?.objectValue ?? [:] where tags.count < maximumCount {
            if let value = member.stringValue, isValid(key, value) { tags[key] = value }
        }
        return tags
    }

    fileprivate static func isValidKey(_ key: String) -> Bool {
        (1...64).contains(key.utf8.count)
            && key.unicodeScalars.allSatisfy { scalar in
                scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType == .decimal)
                    || scalar == "_" || scalar == "." || scalar == "-"
            }
    }

    private static func isValid(_ key: String, _ value: String) -> Bool {
        isValidKey(key) && value.utf8.count <= maximumValueSize
            && value.unicodeScalars.allSatisfy { scalar in
                switch scalar.properties.generalCategory {
                case .control, .lineSeparator, .paragraphSeparator, .unassigned: false
                default: true
                }
            }
    }
}

/// A condition for the tags of a batch: `key=value`, or `key` for any value.
package struct TagFilter: Sendable, Equatable {
    private let key: String
    private let value: String?

    /// Creates a filter; returns nil if no tag could match it.
    package init?(_ text: String) {
        if let tag = Tags.parse(text) {
            (key, value) = (tag.key, tag.value)
        } else {
            guard Tags.isValidKey(text) else { return nil }
            (key, value) = (text, nil)
        }
    }

    /// Returns whether a batch has such a tag.
    package func matches(_ options: BatchOptions) -> Bool {
        options.tags[key].map { value == nil || value == $0 } ?? false
    }
}

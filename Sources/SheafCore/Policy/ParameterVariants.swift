import OrderedCollections

/// The parameter combinations of a batch: each record yields one task per combination.
package struct ParameterVariants: Sendable, Equatable {
    /// The parameters of each variant as a JSON object, or nil if it has none; the array is never empty.
    package let variants: [String?]

    /// The maximum number of variants of a batch.
    package static let maximum = 10_000

    /// Merges parameters over defaults and expands those whose value is a list.
    ///
    /// The result is their Cartesian product, in which the last list varies fastest.
    package init(defaults: JSONValue, parameters: JSONValue) throws(ParameterError) {
        var merged = defaults.objectValue ?? [:]
        for (name, value) in parameters.objectValue ?? [:] { merged[name] = value }
        var variants: [OrderedDictionary<String, JSONValue>] = [[:]]
        for (name, value) in merged {
            guard case .array(let choices) = value else {
                for position in variants.indices { variants[position][name] = value }
                continue
            }
            if choices.isEmpty {
                throw ParameterError("parameter '\(name)' is an empty list, which would produce no tasks")
            }
            if variants.count * choices.count > Self.maximum {
                throw ParameterError("the parameters produce more than \(Self.maximum) variants")
            }
            variants = variants.flatMap { variant in
                choices.map { choice in
                    var extended = variant
                    extended[name] = choice
                    return extended
                }
            }
        }
        self.variants = variants.map { $0.isEmpty ? nil : JSONValue.object($0).text }
    }
}

/// The reason why parameters are invalid.
package struct ParameterError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The reason, as text.
    package let description: String

    init(_ description: String) { self.description = description }
}

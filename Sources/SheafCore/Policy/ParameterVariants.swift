import OrderedCollections

/// The choices of parameters of a batch: each record makes one task for each of them.
public struct ParameterVariants: Sendable, Equatable {
    /// The parameters of each variant as a JSON object, or nil where there are none; never empty.
    public let variants: [String?]

    /// How many variants a batch may have.
    public static let maximum = 10_000

    /// Lays parameters over defaults and multiplies out those whose value is a list (cartesian product, the last runs fastest).
    public init(defaults: JSONValue, parameters: JSONValue) throws(ParameterError) {
        var merged = defaults.objectValue ?? [:]
        for (name, value) in parameters.objectValue ?? [:] { merged[name] = value }
        var variants: [OrderedDictionary<String, JSONValue>] = [[:]]
        for (name, value) in merged {
            guard case .array(let choices) = value else {
                for position in variants.indices { variants[position][name] = value }
                continue
            }
            if choices.isEmpty {
                throw ParameterError("parameter '\(name)' is an empty list: it would make no task at all")
            }
            if variants.count * choices.count > Self.maximum {
                throw ParameterError("the parameters make more than \(Self.maximum) variants")
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

/// Says why parameters make no sense.
public struct ParameterError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The reason, for people.
    public let description: String

    init(_ description: String) { self.description = description }
}

import OrderedCollections

/// The resources that tasks used, such as tokens of a model: named integers that are summed over a batch.
public struct Usage: Sendable, Hashable {
    /// The maximum number of names; limits the memory that an outcome can make every reader use.
    package static let maximumNames = 16
    /// The maximum size of a name, in bytes.
    package static let maximumNameSize = 64
    /// The maximum amount and sum: every JSON reader can represent it exactly.
    package static let maximumAmount = 1 << 53

    /// The amounts by name.
    public private(set) var amounts: [String: Int] = [:]

    /// Creates a usage; names that are too many or too long and negative amounts are ignored.
    public init(_ amounts: [String: Int] = [:]) {
        for (name, amount) in amounts { add(amount, to: name) }
    }

    /// Whether there are no amounts.
    package var isEmpty: Bool { amounts.isEmpty }

    /// The amount with that name, or 0.
    public subscript(name: String) -> Int { amounts[name] ?? 0 }

    /// Adds an amount; ignores it if it is negative or its name is one too many or invalid.
    public mutating func add(_ amount: Int, to name: String) {
        guard amount >= 0, !name.isEmpty, name.utf8.count <= Self.maximumNameSize,
            amounts[name] != nil || amounts.count < Self.maximumNames
        else { return }
        amounts[name] = min((amounts[name] ?? 0) + min(amount, Self.maximumAmount), Self.maximumAmount)
    }

    /// Adds all amounts of another usage.
    package static func += (sum: inout Usage, other: Usage) {
        if other.isEmpty { return }
        for (name, amount) in other.amounts { sum.add(amount, to: name) }
    }

    /// The amounts, sorted by name.
    package var sorted: [(name: String, amount: Int)] {
        amounts.sorted { $0.key < $1.key }.map { (name: $0.key, amount: $0.value) }
    }

    /// The usage as a JSON object.
    package var json: JSONValue {
        .object(OrderedDictionary(uniqueKeysWithValues: sorted.map { ($0.name, .integer($0.amount)) }))
    }

    /// Decodes a usage from the integers of a JSON object; ignores everything else.
    package init(json: JSONValue?) {
        self.init()
        for (name, value) in json?.objectValue ?? [:] {
            if case .number(let digits) = value, let amount = Int(digits) { add(amount, to: name) }
        }
    }
}

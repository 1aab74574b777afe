import OrderedCollections

/// What running tasks took, such as tokens of a model: whole numbers by name, which add up over a batch.
public struct Usage: Sendable, Hashable {
    /// The most names; bounds what an outcome can make every reader keep.
    public static let maximumNames = 16
    /// The longest name, in bytes.
    public static let maximumNameSize = 64
    /// The largest amount, and the largest sum: every reader of JSON takes it for what it is.
    public static let maximumAmount = 1 << 53

    /// The amounts by name.
    public private(set) var amounts: [String: Int] = [:]

    /// Makes a usage; names that are too many or too long are left out, and amounts below 0.
    public init(_ amounts: [String: Int] = [:]) {
        for (name, amount) in amounts { add(amount, to: name) }
    }

    /// Whether it says nothing.
    public var isEmpty: Bool { amounts.isEmpty }

    /// The amount of that name; 0 where there is none.
    public subscript(name: String) -> Int { amounts[name] ?? 0 }

    /// Adds an amount; what is below 0, or has one name too many, is left out.
    public mutating func add(_ amount: Int, to name: String) {
        guard amount >= 0, !name.isEmpty, name.utf8.count <= Self.maximumNameSize,
            amounts[name] != nil || amounts.count < Self.maximumNames
        else { return }
        amounts[name] = min((amounts[name] ?? 0) + min(amount, Self.maximumAmount), Self.maximumAmount)
    }

    /// Adds all of another.
    public static func += (sum: inout Usage, other: Usage) {
        if other.isEmpty { return }
        for (name, amount) in other.amounts { sum.add(amount, to: name) }
    }

    /// The amounts by name, in the order of the names.
    public var sorted: [(name: String, amount: Int)] {
        amounts.sorted { $0.key < $1.key }.map { (name: $0.key, amount: $0.value) }
    }

    /// The usage as a JSON object.
    public var json: JSONValue {
        .object(OrderedDictionary(uniqueKeysWithValues: sorted.map { ($0.name, .integer($0.amount)) }))
    }

    /// Reads a usage: the whole numbers of a JSON object, and nothing of anything else.
    public init(json: JSONValue?) {
        self.init()
        for (name, value) in json?.objectValue ?? [:] {
            if case .number(let digits) = value, let amount = Int(digits) { add(amount, to: name) }
        }
    }
}

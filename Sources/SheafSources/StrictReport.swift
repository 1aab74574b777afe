/// What a check of a whole input found.
public struct StrictReport: Sendable, Equatable {
    /// How many records were looked at, broken ones included.
    public private(set) var checked: Int
    /// How many of them are invalid.
    public private(set) var invalid: Int
    /// The first invalid ones, in the order of the input.
    public private(set) var first: [SourceItem]

    /// Whether every record is valid.
    public var isValid: Bool { invalid == 0 }

    /// Makes a report.
    public init(checked: Int, invalid: Int, first: [SourceItem]) {
        self.checked = checked
        self.invalid = invalid
        self.first = first
    }

    /// Counts an item, and keeps it if it is one of the first that are invalid.
    mutating func add(_ item: SourceItem, keeping most: Int) {
        checked += 1
        guard case .invalid = item.content else { return }
        invalid += 1
        if first.count < most { first.append(item) }
    }
}

/// The options of a batch, chosen when it is created.
public struct BatchOptions: Sendable, Equatable {
    /// What the batch does when tasks fail.
    public var errorPolicy: ErrorPolicy
    /// The maximum number of tasks that run at once across all workers, or nil for no limit.
    public var maxRunning: Int?
    /// The seed of the publishing order, or nil if records are published in input order.
    public var seed: UInt64?
    /// The maximum number of records, or nil for all.
    public var maxRecords: Int?
    /// The parameters as given: an object whose lists are expanded into variants.
    public var parameters: JSONValue
    /// Whether tasks may ask users questions.
    public var isInteractive: Bool

    /// Creates options.
    public init(
        errorPolicy: ErrorPolicy = .continue,
        maxRunning: Int? = nil,
        seed: UInt64? = nil,
        maxRecords: Int? = nil,
        parameters: JSONValue = [:],
        isInteractive: Bool = false
    ) {
        self.errorPolicy = errorPolicy
        self.maxRunning = maxRunning
        self.seed = seed
        self.maxRecords = maxRecords
        self.parameters = parameters
        self.isInteractive = isInteractive
    }

    /// The options as a JSON object.
    package var json: JSONValue {
        [
            "error_policy": .string(errorPolicy.description),
            "max_running": maxRunning.map { .integer($0) } ?? .null,
            "seed": seed.map { .integer($0) } ?? .null,
            "max_records": maxRecords.map { .integer($0) } ?? .null,
            "parameters": parameters,
            "interactive": .bool(isInteractive),
        ]
    }

    /// Decodes options from a JSON object; missing or unknown values get their defaults.
    package init(json: JSONValue) {
        self.init(
            errorPolicy: json["error_policy"]?.stringValue.flatMap { ErrorPolicy($0) } ?? .continue,
            maxRunning: json["max_running"]?.intValue.flatMap { $0 > 0 ? $0 : nil },
            seed: json["seed"].flatMap { if case .number(let digits) = $0 { UInt64(digits) } else { nil } },
            maxRecords: json["max_records"]?.intValue,
            parameters: json["parameters"]?.objectValue.map { .object($0) } ?? [:],
            isInteractive: json["interactive"]?.boolValue ?? false
        )
    }
}

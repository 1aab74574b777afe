import OrderedCollections

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
    /// The tags by which users find the batch: at most 32, with keys of letters, digits, `_`, `.` and `-`.
    public var tags: [String: String]
    /// The URLs that are notified when the batch has ended: at most ``maximumURLs``.
    public var notify: [String]

    /// The tasks that run first, before the batch pauses itself; nil if there is no pilot.
    public var pilot: Pilot?

    /// Which records count as identical, so that only the first of them runs; nil if each record runs.
    public var deduplication: Deduplication?

    /// The provider's id of a submission that was made by other means and whose results the tasks get; nil for most.
    package var adoptedSubmission: String?

    /// The maximum number of URLs that are notified.
    package static let maximumURLs = 8
    /// The range of ``maxRunning``; each task that may run is a message in the queue of permits.
    package static let runningLimits = 1...100_000

    /// Creates options.
    public init(
        errorPolicy: ErrorPolicy = .continue,
        maxRunning: Int? = nil,
        seed: UInt64? = nil,
        maxRecords: Int? = nil,
        parameters: JSONValue = [:],
        isInteractive: Bool = false,
        tags: [String: String] = [:],
        notify: [String] = [],
        pilot: Pilot? = nil,
        deduplication: Deduplication? = nil
    ) {
        self.errorPolicy = errorPolicy
        self.maxRunning = maxRunning
        self.seed = seed
        self.maxRecords = maxRecords
        self.parameters = parameters
        self.isInteractive = isInteractive
        self.tags = tags
        self.notify = notify
        self.pilot = pilot
        self.deduplication = deduplication
    }

    /// The options as a JSON object.
    package var json: JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "error_policy": .string(errorPolicy.description),
            "max_running": maxRunning.map { .integer($0) } ?? .null,
            "seed": seed.map { .integer($0) } ?? .null,
            "max_records": maxRecords.map { .integer($0) } ?? .null,
            "parameters": parameters,
            "interactive": .bool(isInteractive),
        ]
        if !tags.isEmpty { members["tags"] = tagsJSON }
        if !notify.isEmpty { members["notify"] = .array(notify.map(JSONValue.string)) }
        if let pilot {
            members["pilot"] = .integer(pilot.tasks)
            if let pass = pilot.passText { members["pilot_pass"] = .string(pass) }
        }
        if let deduplication { members["dedupe"] = deduplication.json }
        if let adoptedSubmission { members["adopted_submission"] = .string(adoptedSubmission) }
        return .object(members)
    }

    /// Returns what is wrong with a value of ``maxRunning``, or nil if it is valid.
    package static func problem(ofMaxRunning limit: Int?) -> String? {
        guard let limit, !runningLimits.contains(limit) else { return nil }
        return "max_running \(limit) is out of range: it must be from 1 to \(runningLimits.upperBound)"
    }

    /// The tags as a JSON object, sorted by key.
    package var tagsJSON: JSONValue {
        let pairs = tags.sorted { $0.key < $1.key }.map { ($0.key, JSONValue.string($0.value)) }
        return .object(OrderedDictionary(uniqueKeysWithValues: pairs))
    }

    /// Decodes options from a JSON object; missing or unknown values get their defaults.
    package init(json: JSONValue) {
        self.init(
            errorPolicy: json["error_policy"]?.stringValue.flatMap { ErrorPolicy($0) } ?? .continue,
            maxRunning: json["max_running"]?.intValue.flatMap { $0 > 0 ? min($0, Self.runningLimits.upperBound) : nil },
            seed: json["seed"].flatMap { if case .number(let digits) = $0 { UInt64(digits) } else { nil } },
            maxRecords: json["max_records"]?.intValue,
            parameters: json["parameters"]?.objectValue.map { .object($0) } ?? [:],
            isInteractive: json["interactive"]?.boolValue ?? false,
            tags: Tags.decode(json["tags"]),
            notify: (json["notify"]?.arrayValue ?? []).compactMap(\.stringValue).prefix(Self.maximumURLs).map { $0 },
            pilot: json["pilot"]?.intValue.flatMap { tasks in
                let pilot = Pilot(tasks: tasks, pass: json["pilot_pass"]?.stringValue.flatMap(Pilot.percentage))
                return pilot.problem == nil ? pilot : nil
            },
            deduplication: json["dedupe"].flatMap { Deduplication(json: $0) }
        )
        adoptedSubmission = json["adopted_submission"]?.stringValue
    }
}

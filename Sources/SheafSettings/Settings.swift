public import OrderedCollections
public import SheafBroker
public import SheafCore
public import SheafFlows

/// Everything that can be configured, read from `sheaf.yaml` and what overrides it.
///
/// A flag goes before a `SHEAF_*` variable, a variable before the file, the file before the default.
public struct Settings: Sendable {
    /// The flow that is there without a file.
    static let echo = "echo"
    /// How many tasks a worker runs at once where nothing is said.
    public static let defaultConcurrency = 5
    /// How long the broker waits for the end of a task where nothing is said.
    public static let defaultAcknowledgementTimeout = Duration.seconds(30 * 60)
    /// The namespace where nothing is said.
    public static let defaultNamespace = "sheaf"

    /// The file that was read, absolute; nil where there is none.
    public let file: String?
    /// The folder from which paths are taken: that of the file, or else the working directory.
    public let directory: String
    /// The broker.
    public let broker: BrokerReference
    /// What the names of queues begin with.
    public let namespace: Name
    /// How many tasks a worker runs at once.
    public let concurrency: Int
    /// How long the broker waits for the end of a task before it gives it to another worker.
    public let acknowledgementTimeout: Duration
    /// The flows by name, in the order of the file, and `echo`.
    public let flows: OrderedDictionary<Name, FlowSettings>
    /// What may be meant otherwise, each with its place.
    public let warnings: [SettingsError]
    let origins: [String: SettingsOrigin]

    /// Where a value at the top comes from.
    public func origin(of key: String) -> SettingsOrigin { origins[key] ?? .builtIn }

    /// The definitions of all flows, for a worker.
    public var definitions: [FlowDefinition] { flows.values.map { $0.definition() } }

    /// The flow of that name.
    ///
    /// - Throws: ``SettingsError`` that lists the known flows where there is none.
    public func flow(named name: String) throws(SettingsError) -> FlowSettings {
        guard let name = Name(name), let flow = flows[name] else { throw SettingsError(unknownFlow(name)) }
        return flow
    }

    /// The message for a flow that is not there: it lists those that are, and names the nearest.
    public func unknownFlow(_ name: String) -> String {
        let names = flows.keys.map(\.text)
        let place = file.map { "'\($0)' defines" } ?? "there is no \(ConfigurationFile.name); without it there is only"
        return "unknown flow '\(name)'; \(place) \(names.joined(separator: ", "))"
            + Suggestion.text(for: name, among: names)
    }
}

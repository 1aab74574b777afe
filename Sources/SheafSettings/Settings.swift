package import OrderedCollections
package import SheafBroker
package import SheafCore
package import SheafFlows

/// The configuration: `sheaf.yaml` and what overrides it.
///
/// A flag takes precedence over a `SHEAF_*` variable, a variable over the file, and the file over the default.
package struct Settings: Sendable {
    /// The flow that exists without a file.
    private static let echo = "echo"
    /// The keys at the top.
    private static let keys = [
        "broker", "namespace", "concurrency", "acknowledgement_timeout", "exit_zero_after_drain", "webhook_secret",
        "notify_allow_private", "limits", "prices", "server", "metrics", "tracing", "flows",
        "dispatch",
    ]
    /// The keys at the top that have no variable of the environment, because they are maps.
    private static let maps: Set = ["limits", "prices", "server", "metrics", "tracing", "flows", "dispatch"]

    /// The default number of tasks that a worker runs at once.
    package static let defaultConcurrency = 5
    /// How many tasks a worker may run at once.
    package static let concurrencyRange = 1...10_000
    /// The default for how long the broker waits for the end of a task.
    package static let defaultAcknowledgementTimeout = Duration.seconds(30 * 60)
    /// The default namespace.
    package static let defaultNamespace = "sheaf"

    /// The absolute path of the file that was read, or nil if there is none.
    package let file: String?
    /// The folder that relative paths start from: that of the file, or else the working directory.
    package let directory: String
    /// The broker.
    package let broker: BrokerReference
    /// The prefix of the names of queues.
    package let namespace: Name
    /// How many tasks a worker runs at once.
    package let concurrency: Int
    /// How long the broker waits for the end of a task before it hands the task to another worker.
    package let acknowledgementTimeout: Duration
    /// Whether a worker that SIGTERM has ended exits with 0 if it has left nothing.
    package let exitsZeroAfterDrain: Bool
    /// How `sheaf serve` listens and whom it admits.
    package let server: ServerSettings
    /// How many of the newest active batches have metrics of their own.
    package let metricsBatches: Int
    /// How batches are traced, or nil if they are not.
    package let tracing: TracingSettings?
    /// The secret that signs webhooks, or nil if this process sends none.
    package let webhookSecret: String?
    /// Whether webhooks may go to addresses of this machine and of private networks.
    package let notifiesPrivateAddresses: Bool
    /// The flows by name, in the order of the file, and `echo`.
    package let flows: OrderedDictionary<Name, FlowSettings>
    /// The dispatchers by name, in the order of the file.
    package let dispatchers: OrderedDictionary<Name, DispatchSettings>
    /// What is doubtful, each with its place.
    package let warnings: [SettingsError]
    private let origins: [String: SettingsOrigin]

    /// Returns where the value of a key at the top comes from.
    package func origin(of key: String) -> SettingsOrigin { origins[key] ?? .builtIn }

    /// The definitions of all flows that a worker can run with this configuration alone.
    package var definitions: [FlowDefinition] { flows.values.filter { !$0.isExternal }.map { $0.definition() } }

    /// Returns the flow of that name.
    ///
    /// - Throws: ``SettingsError`` that lists the known flows if there is no such flow.
    package func flow(named name: String) throws(SettingsError) -> FlowSettings {
        guard let name = Name(name), let flow = flows[name] else { throw SettingsError(unknownFlow(name)) }
        return flow
    }

    /// Returns the message for an unknown flow: it lists the known flows and suggests the nearest.
    package func unknownFlow(_ name: String) -> String {
        let names = flows.keys.map(\.text)
        let place =
            file.map { "'\($0)' defines" } ?? "there is no \(ConfigurationFile.name), and without it the only flow is"
        return "unknown flow '\(name)'; \(place) \(names.joined(separator: ", "))"
            + Suggestion.text(for: name, among: names)
    }

    // MARK: Loading

    /// The schemes of URLs that `broker:` accepts unless a program registers other brokers: those of RabbitMQ.
    package static let defaultBrokerSchemes = ["amqp", "amqps"]

    /// Finds and reads the configuration.
    ///
    /// - Parameters:
    ///   - overrides: The flags of the command line.
    ///   - environment: The variables of the environment. `SHEAF_CONFIG`, `SHEAF_BROKER`, `SHEAF_NAMESPACE`,
    ///     `SHEAF_CONCURRENCY` and `SHEAF_ACKNOWLEDGEMENT_TIMEOUT` count unless they are empty, and so do those that
    ///     `broker:` names.
    ///   - directory: The working directory, absolute.
    ///   - brokerSchemes: The schemes that the URL in `broker:` may have, besides `embedded`.
    /// - Returns: The settings, complete and checked.
    /// - Throws: ``SettingsError`` with the place and the key.
    package static func load(
        _ overrides: SettingsOverrides = SettingsOverrides(),
        environment: [String: String],
        directory: String,
        brokerSchemes: [String] = defaultBrokerSchemes
    ) throws(SettingsError) -> Settings {
        try load(
            overrides,
            environment: environment,
            directory: directory,
            brokerSchemes: brokerSchemes,
            kinds: .standard
        )
    }

    /// Finds and reads the configuration, with flows of these kinds.
    package static func load(
        _ overrides: SettingsOverrides = SettingsOverrides(),
        environment: [String: String],
        directory: String,
        brokerSchemes: [String] = defaultBrokerSchemes,
        kinds: FlowKinds
    ) throws(SettingsError) -> Settings {
        let working = ConfigurationFolder(directory)
        let set = environment.filter { !$0.value.isEmpty }
        let file: ConfigurationFile?
        if let path = overrides.config {
            file = try ConfigurationFile(named: path, by: .flag("--config"), in: working)
        } else if let path = set["SHEAF_CONFIG"] {
            file = try ConfigurationFile(named: path, by: .environment("SHEAF_CONFIG"), in: working)
        } else {
            file = try ConfigurationFile.find(from: working)
        }
        var root = SettingsNode.empty
        if let file { root = try SettingsNode(yaml: file.text, path: file.shownPath) }
        for key in Self.keys where !maps.contains(key) {
            let name = "SHEAF_\(key.uppercased())"
            root.set(key, to: set[name], from: .environment(name))
        }
        for assignment in overrides.set { try root.apply(assignment: assignment) }
        root.set("broker", to: overrides.broker, from: .flag("--broker"))
        root.set("namespace", to: overrides.namespace, from: .flag("--namespace"))
        root.set("concurrency", to: overrides.concurrency.map(String.init), from: .flag("--concurrency"))
        return try Settings(
            root,
            file: file,
            environment: set,
            working: working,
            brokerSchemes: brokerSchemes,
            kinds: kinds
        )
    }

    /// Reads the file, the environment and the command line, laid over each other.
    init(
        _ root: SettingsNode,
        file: ConfigurationFile?,
        environment: [String: String],
        working: ConfigurationFolder,
        brokerSchemes: [String] = defaultBrokerSchemes,
        kinds: FlowKinds = .standard
    ) throws(SettingsError) {
        let folder = file?.folder ?? working
        let members = try SettingsReader(node: root, keyPath: "").members(knowing: Self.keys)
        var broker = BrokerReference.embedded(directory: folder.path(".sheaf"))
        var secrets: Set<String> = []
        if let member = members["broker"] {
            // A path in the file starts from the file's folder; a path that was typed, from where it was typed.
            let isFromFile = if case .file = member.node.origin { true } else { false }
            (broker, secrets) = try BrokerReader(
                member,
                environment: environment,
                folder: isFromFile || member.json == "embedded" ? folder : working,
                schemes: brokerSchemes
            ).read()
        }
        server =
            try members["server"].map { member throws(SettingsError) in
                try ServerReader(member, environment: environment, folder: folder).read()
            } ?? ServerSettings()
        secrets.formUnion(server.tokens.compactMap(\.variable))
        let queues = try DispatchQueues(members["dispatch"], environment: environment)
        secrets.formUnion(queues.variables)
        if environment["SHEAF_WEBHOOK_SECRET"] != nil { secrets.insert("SHEAF_WEBHOOK_SECRET") }
        webhookSecret = try members["webhook_secret"]?.text("a secret")
        notifiesPrivateAddresses = try members["notify_allow_private"]?.bool() ?? false
        (flows, warnings) = try Self.flows(
            members["flows"],
            kinds: kinds,
            folder: folder,
            withheldVariables: secrets,
            environment: environment,
            limits: try RateLimitReader.limits(members["limits"]),
            prices: try members["prices"].map { member throws(SettingsError) in try PriceTable(member) }
        )
        dispatchers = try DispatchSettings.all(members["dispatch"], flows: flows, queues: queues)
        self.file = file?.path
        directory = folder.path
        self.broker = broker
        namespace = try Self.namespace(members["namespace"])
        concurrency = try members["concurrency"]?.int(in: Self.concurrencyRange) ?? Self.defaultConcurrency
        acknowledgementTimeout = try Self.acknowledgementTimeout(members["acknowledgement_timeout"])
        exitsZeroAfterDrain = try members["exit_zero_after_drain"]?.bool() ?? false
        metricsBatches = try members["metrics"]?.members(knowing: ["batches"])["batches"]?.int(in: 0...1000) ?? 0
        tracing = try members["tracing"].map { member throws(SettingsError) in
            try TracingSettings(member, environment: environment)
        }
        origins = members.mapValues(\.node.origin)
    }

    private static func namespace(_ member: SettingsReader?) throws(SettingsError) -> Name {
        let text = try member?.text("a name") ?? defaultNamespace
        guard let name = Name(text) else {
            throw member?.expected("a name (\(Name.rule))") ?? SettingsError("'\(text)' is not a valid name")
        }
        return name
    }

    private static func acknowledgementTimeout(_ member: SettingsReader?) throws(SettingsError) -> Duration {
        guard let member else { return defaultAcknowledgementTimeout }
        let timeout = try member.duration()
        if timeout < .seconds(1) { throw member.error("less than 1s, which is the shortest allowed") }
        return timeout
    }

    private static func flows(
        _ member: SettingsReader?,
        kinds: FlowKinds,
        folder: ConfigurationFolder,
        withheldVariables: Set<String>,
        environment: [String: String],
        limits: [Name: RateLimit?],
        prices: PriceTable?
    ) throws(SettingsError) -> (OrderedDictionary<Name, FlowSettings>, [SettingsError]) {
        var flows: OrderedDictionary<Name, FlowSettings> = [:]
        var warnings: [SettingsError] = []
        let entries = try member?.members("a map of flows by name") ?? []
        // The secrets of one flow are kept from the programs of all flows.
        let withheld = entries.reduce(into: withheldVariables) { names, entry in
            let secrets = FlowSecrets(in: entry.value.node, kinds: kinds)
            names.formUnion(secrets.names + secrets.optionalNames)
        }
        for entry in entries {
            guard let name = Name(entry.name) else {
                throw entry.value.error("'\(entry.name)' is not a valid flow name: \(Name.rule)")
            }
            let reader = try FlowReader(
                entry.value,
                kinds: kinds,
                folder: folder,
                withheldVariables: withheld,
                environment: environment,
                limits: limits
            )
            var flow = try reader.read(name)
            flow.pricing = FlowPricing(flow.flow, prices)
            warnings += reader.warnings(flow.flow)
            flows[name] = flow
        }
        if let name = Name(echo), flows[name] == nil {
            let node = SettingsNode(json: ["echo": true], origin: .builtIn)
            let reader = SettingsReader(node: node, keyPath: "flows.\(echo)")
            flows[name] = try FlowReader(reader, kinds: .standard, folder: folder).read(name)
        }
        return (flows, warnings)
    }
}

/// The flags of the command line that override the configuration.
package struct SettingsOverrides: Sendable, Equatable {
    /// The file to read, instead of looking for one.
    package var config: String?
    /// The broker: a URL, `embedded`, or `embedded:` and a folder.
    package var broker: String?
    /// The namespace.
    package var namespace: String?
    /// How many tasks a worker runs at once.
    package var concurrency: Int?
    /// Any keys, each as `key.path=value`.
    ///
    /// The value is JSON if it can be parsed, else a string. The last of several values of a key wins.
    package var set: [String]

    /// Creates overrides.
    package init(
        config: String? = nil,
        broker: String? = nil,
        namespace: String? = nil,
        concurrency: Int? = nil,
        set: [String] = []
    ) {
        self.config = config
        self.broker = broker
        self.namespace = namespace
        self.concurrency = concurrency
        self.set = set
    }
}

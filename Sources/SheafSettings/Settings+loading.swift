import OrderedCollections
import SheafBroker
import SheafCore
import SheafFlows

extension Settings {
    /// The keys at the top.
    private static let keys = ["broker", "namespace", "concurrency", "acknowledgement_timeout", "limits", "flows"]

    /// Finds and reads the configuration.
    ///
    /// - Parameters:
    ///   - overrides: What the command line says.
    ///   - environment: The variables; `SHEAF_CONFIG`, `SHEAF_BROKER`, `SHEAF_NAMESPACE`, `SHEAF_CONCURRENCY` and
    ///     `SHEAF_ACKNOWLEDGEMENT_TIMEOUT` count unless they are empty, and those that `broker:` names.
    ///   - directory: The working directory, absolute.
    ///   - brokerSchemes: The schemes of the URLs that `broker` may contain, besides `embedded`.
    /// - Returns: The settings, complete and checked.
    /// - Throws: ``SettingsError`` with the place and the key.
    public static func load(
        _ overrides: SettingsOverrides = SettingsOverrides(),
        environment: [String: String],
        directory: String,
        brokerSchemes: [String] = ["amqp", "amqps"]
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
        for key in Self.keys where key != "flows" && key != "limits" {
            let name = "SHEAF_\(key.uppercased())"
            root.set(key, to: set[name], from: .environment(name))
        }
        for assignment in overrides.set { try root.apply(assignment: assignment) }
        root.set("broker", to: overrides.broker, from: .flag("--broker"))
        root.set("namespace", to: overrides.namespace, from: .flag("--namespace"))
        root.set("concurrency", to: overrides.concurrency.map(String.init), from: .flag("--concurrency"))
        return try read(root, file: file, environment: set, working: working, brokerSchemes: brokerSchemes)
    }

    /// Reads what the file, the environment and the command line together say.
    static func read(
        _ root: SettingsNode,
        file: ConfigurationFile?,
        environment: [String: String],
        working: ConfigurationFolder,
        brokerSchemes: [String] = ["amqp", "amqps"]
    ) throws(SettingsError) -> Settings {
        let folder = file?.folder ?? working
        let members = try SettingsReader(node: root, keyPath: "").members(knowing: keys)
        var broker = BrokerReference.embedded(directory: folder.path(".sheaf"))
        var secrets: Set<String> = []
        if let member = members["broker"] {
            // A path in the file is taken from there; one that was typed, from where it was typed.
            let isFromFile = if case .file = member.node.origin { true } else { false }
            (broker, secrets) = try BrokerReader(
                member,
                environment: environment,
                folder: isFromFile || member.node.json == "embedded" ? folder : working,
                schemes: brokerSchemes
            ).read()
        }
        let (flows, warnings) = try flows(
            members["flows"],
            folder: folder,
            withheldVariables: secrets,
            environment: environment,
            limits: try RateLimitReader.limits(members["limits"])
        )
        return Settings(
            file: file?.path,
            directory: folder.path,
            broker: broker,
            namespace: try namespace(members["namespace"]),
            concurrency: try members["concurrency"]?.int(atLeast: 1) ?? defaultConcurrency,
            acknowledgementTimeout: try acknowledgementTimeout(members["acknowledgement_timeout"]),
            flows: flows,
            warnings: warnings,
            origins: members.mapValues(\.node.origin)
        )
    }

    private static func namespace(_ member: SettingsReader?) throws(SettingsError) -> Name {
        let text = try member?.text("a name") ?? defaultNamespace
        guard let name = Name(text) else {
            throw member?.expected("a name (\(Name.rule))") ?? SettingsError("'\(text)' is no name")
        }
        return name
    }

    private static func acknowledgementTimeout(_ member: SettingsReader?) throws(SettingsError) -> Duration {
        guard let member else { return defaultAcknowledgementTimeout }
        let timeout = try member.duration()
        if timeout < .seconds(1) { throw member.error("less than 1s, and no broker is that impatient") }
        return timeout
    }

    private static func flows(
        _ member: SettingsReader?,
        folder: ConfigurationFolder,
        withheldVariables: Set<String>,
        environment: [String: String],
        limits: [Name: RateLimit?]
    ) throws(SettingsError) -> (OrderedDictionary<Name, FlowSettings>, [SettingsError]) {
        var flows: OrderedDictionary<Name, FlowSettings> = [:]
        var warnings: [SettingsError] = []
        let entries = try member?.members("a map of flows by name") ?? []
        // What one flow must keep for itself, the program of another must not see.
        let withheld = entries.reduce(into: withheldVariables) { $0.formUnion(FlowSecrets(in: $1.value.node).names) }
        for entry in entries {
            guard let name = Name(entry.name) else {
                throw entry.value.error("'\(entry.name)' is no name for a flow: \(Name.rule)")
            }
            let reader = try FlowReader(
                entry.value,
                folder: folder,
                withheldVariables: withheld,
                environment: environment,
                limits: limits
            )
            let flow = try reader.read(name)
            warnings += reader.warnings(flow.flow)
            flows[name] = flow
        }
        if let name = Name(echo), flows[name] == nil {
            let node = SettingsNode(json: ["echo": true], origin: .builtIn)
            let reader = SettingsReader(node: node, keyPath: "flows.\(echo)")
            flows[name] = try FlowReader(reader, folder: folder).read(name)
        }
        return (flows, warnings)
    }
}

import OrderedCollections
import SheafCore
import SheafFlows

/// Reads one entry of `flows:`.
struct FlowReader {
    /// The keys of every flow that messages list before those of the kinds, and those after them.
    private static let firstKeys = ["source", "format", "id", "columns"]
    private static let lastKeys = [
        "parameters", "timeout", "retries", "retry_delay", "retry_max_delay", "retry_on", "error_policy", "max_running",
        "shuffle", "max_records", "strict", "publish_timeout", "rate", "limit", "interactive", "answer_timeout",
        "dedupe", "tags", "notify",
    ]

    /// The keys of a flow of a standard kind.
    static var keys: [String] { keys(.standard) }

    private static func keys(_ kinds: FlowKinds) -> [String] { firstKeys + kinds.keys + kinds.options + lastKeys }

    private let reader: SettingsReader
    private let limits: [Name: RateLimit?]
    private let environment: [String: String]
    private let secrets: FlowSecrets
    private let kind: any FlowKind
    private let entry: FlowEntry

    private var members: [String: SettingsReader] { entry.members }

    init(
        _ reader: SettingsReader,
        kinds: FlowKinds,
        folder: ConfigurationFolder,
        withheldVariables: Set<String> = [],
        environment: [String: String] = [:],
        limits: [Name: RateLimit?] = [:]
    ) throws(SettingsError) {
        self.limits = limits
        self.reader = reader
        self.environment = environment
        let members = try reader.members(knowing: Self.keys(kinds))
        let secrets = FlowSecrets(in: reader.node, kinds: kinds)
        self.secrets = secrets
        let (kind, value) = try kinds.kind(of: members, reader)
        self.kind = kind
        entry = FlowEntry(
            reader: reader,
            value: value,
            members: members,
            variables: secrets.values(environment),
            folder: folder,
            withheldVariables: withheldVariables
        )
    }

    func read(_ name: Name) throws(SettingsError) -> FlowSettings {
        let flow = try kind.read(entry)
        return FlowSettings(
            name: name,
            origin: reader.node.origin,
            kind: kind.key,
            flow: flow,
            source: try members["source"]?.strings("a path, a glob or a list of them") ?? [],
            sourceDirectory: entry.path(""),
            format: try members["format"]?.nonEmptyText("a format"),
            idField: try members["id"]?.nonEmptyText("the name of a field"),
            columns: try members["columns"]?.stringMap("a map of new column names to those of the input") ?? [:],
            parameters: try parameters(),
            timeout: try duration("timeout", zero: "0 would end every task at once; leave the key out for no time-out")
                // A job takes as long as its provider needs.
                ?? (flow is any BulkFlow ? nil : kind.timeout),
            retries: try members["retries"]?.int(atLeast: 0) ?? FlowDefinition.defaultRetries,
            retryRule: try RetryReader(members, kind).read(),
            batch: try batch(),
            limit: try RateLimitReader.limit(of: name, members, among: limits),
            answerTimeout: try duration(
                "answer_timeout",
                zero: "0 leaves no time to answer; leave the key out for no limit"
            ),
            missingVariables: missingVariables
        )
    }

    /// The variables that the flow needs and that are not set.
    private var missingVariables: [String] { secrets.names.filter { environment[$0] == nil } }

    /// Returns what is doubtful about the flow, each with its place.
    func warnings(_ flow: any Flow) -> [SettingsError] {
        let unset = missingVariables.map { name in
            entry.value.error("the environment variable '\(name)' is not set; a worker needs it to run this flow")
        }
        return unset + kind.warnings(of: flow, in: entry)
    }

    private func parameters() throws(SettingsError) -> JSONValue {
        guard let member = members["parameters"] else { return [:] }
        guard case .mapping = member.node.value else { throw member.expected("a map of parameters") }
        return member.json
    }

    /// Reads a duration that is not 0; `zero` says why it must not be.
    private func duration(_ key: String, zero: String) throws(SettingsError) -> Duration? {
        guard let member = members[key] else { return nil }
        let duration = try member.duration()
        if duration == .zero { throw member.error(zero) }
        return duration
    }

    private func batch() throws(SettingsError) -> BatchDefaults {
        BatchDefaults(
            errorPolicy: try errorPolicy(),
            maxRunning: try members["max_running"]?.int(in: BatchOptions.runningLimits),
            shuffle: try members["shuffle"]?.bool(),
            maxRecords: try members["max_records"]?.int(atLeast: 1),
            strict: try members["strict"]?.bool(),
            publishTimeout: try duration("publish_timeout", zero: "0 leaves no time to publish anything"),
            isInteractive: try members["interactive"]?.bool(),
            deduplication: try deduplication(),
            tags: try tags(),
            notify: try notify()
        )
    }

    private func deduplication() throws(SettingsError) -> Deduplication? {
        guard let member = members["dedupe"] else { return nil }
        if case .list = member.node.value {
            let rule = Deduplication.fields(try member.strings(Deduplication.rule))
            guard rule.problem == nil else { throw member.expected(Deduplication.rule) }
            return rule
        }
        do {
            return try member.bool() ? .records : nil
        } catch {
            throw member.expected(Deduplication.rule)
        }
    }

    private func notify() throws(SettingsError) -> [String] {
        guard let member = members["notify"] else { return [] }
        let urls = try member.strings("a URL")
        if let wrong = urls.first(where: { !BatchDefaults.isURL($0) }) { throw member.error("'\(wrong)' is not a URL") }
        if urls.count > BatchOptions.maximumURLs { throw member.error("at most \(BatchOptions.maximumURLs) URLs") }
        return urls
    }

    private func tags() throws(SettingsError) -> [String: String] {
        guard let member = members["tags"] else { return [:] }
        let tags = Dictionary(try member.stringMap("a map of tags").map { ($0.key, $0.value) }) { $1 }
        if let problem = Tags.problem(of: tags) { throw member.error(problem) }
        return tags
    }

    private func errorPolicy() throws(SettingsError) -> ErrorPolicy? {
        guard let member = members["error_policy"] else { return nil }
        guard let policy = ErrorPolicy(try member.text(ErrorPolicy.rule)) else {
            throw member.expected(ErrorPolicy.rule)
        }
        return policy
    }
}

/// One entry of `flows:` as a ``FlowKind`` reads it.
package struct FlowEntry {
    /// The entry as a whole.
    package let reader: SettingsReader
    /// The value of the key that selects the kind.
    package let value: SettingsReader
    /// All keys of the entry that have a value.
    package let members: [String: SettingsReader]
    /// The values of the secrets, by name, as far as they are set.
    package let variables: [String: String]
    private let folder: ConfigurationFolder
    /// The variables of the environment that programs must not see.
    let withheldVariables: Set<String>

    /// The largest output in bytes: a message must hold it.
    private static let largestOutput = 8 << 20

    init(
        reader: SettingsReader,
        value: SettingsReader,
        members: [String: SettingsReader],
        variables: [String: String],
        folder: ConfigurationFolder,
        withheldVariables: Set<String>
    ) {
        self.reader = reader
        self.value = value
        self.members = members
        self.variables = variables
        self.folder = folder
        self.withheldVariables = withheldVariables
    }

    /// Returns the absolute path for a path in the configuration.
    package func path(_ relative: String) -> String { folder.path(relative) }

    /// Reads `max_output`, in bytes.
    package func maximumOutput() throws(SettingsError) -> Int {
        guard let member = members["max_output"] else { return ExecFlow.defaultMaximumOutput }
        guard let size = SizeText.parse(try member.text(SizeText.rule)), size > 0 else {
            throw member.expected(SizeText.rule)
        }
        if size > Self.largestOutput { throw member.error("more than 8MiB, which is the limit of a message") }
        return size
    }
}

/// The variables of the environment that flows name as `${NAME}`.
struct FlowSecrets: Sendable {
    /// The names, in the order of the file.
    let names: [String]
    /// The names of those that a flow can do without.
    let optionalNames: [String]

    /// Finds the names in the parts of a flow in which they are replaced.
    init(in flow: SettingsNode, kinds: FlowKinds) {
        var names: [String] = []
        var optional: [String] = []
        if case .mapping(let members) = flow.value {
            for kind in kinds.list where kind.hasSecrets {
                guard let node = members[kind.key], case .mapping(let parts) = node.value else { continue }
                for (key, part) in parts where !Self.literalKeys.contains(key) { Self.collect(part, into: &names) }
                var texts: [String: String] = [:]
                for (key, part) in parts { if case .scalar(let scalar) = part.value { texts[key] = scalar.text } }
                let implied = kind.impliedVariables(in: texts)
                names += implied.needed.filter { !names.contains($0) }
                optional += implied.optional
            }
        }
        self.names = names
        optionalNames = optional
    }

    /// The parts in which `${NAME}` is literal text.
    private static let literalKeys: Set<String> = ["messages", "prompt", "system", "input", "options"]

    /// Returns the values of those that are set.
    func values(_ environment: [String: String]) -> [String: String] {
        environment.filter { names.contains($0.key) || optionalNames.contains($0.key) }
    }

    private static func collect(_ node: SettingsNode, into names: inout [String]) {
        switch node.value {
        case .list(let elements): for element in elements { collect(element, into: &names) }
        case .mapping(let members): for member in members.values { collect(member, into: &names) }
        case .scalar(let scalar):
            for match in scalar.text.matches(of: /\$\{([A-Za-z0-9_]+)\}/) where !names.contains(String(match.1)) {
                names.append(String(match.1))
            }
        }
    }
}

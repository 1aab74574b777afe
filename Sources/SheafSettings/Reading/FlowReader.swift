import OrderedCollections
import SheafCore
import SheafFlows

/// Reads one entry of `flows:`.
struct FlowReader {
    /// The keys of a flow.
    static let keys =
        ["source", "format", "id", "columns"] + FlowKind.allCases.map(\.rawValue) + FlowKind.specialKeys + [
            "parameters", "timeout", "retries", "retry_delay", "retry_max_delay", "retry_on", "error_policy",
            "max_running", "shuffle", "max_records", "strict", "publish_timeout", "rate", "limit", "interactive",
            "answer_timeout",
        ]
    /// The largest output, because a message may have no more.
    private static let maximumOutput = 8 << 20

    private let reader: SettingsReader
    private let members: [String: SettingsReader]
    private let folder: ConfigurationFolder
    private let withheldVariables: Set<String>
    private let limits: [Name: RateLimit?]
    private let environment: [String: String]
    private let secrets: FlowSecrets
    private let kind: FlowKind

    init(
        _ reader: SettingsReader,
        folder: ConfigurationFolder,
        withheldVariables: Set<String> = [],
        environment: [String: String] = [:],
        limits: [Name: RateLimit?] = [:]
    ) throws(SettingsError) {
        self.limits = limits
        self.reader = reader
        self.folder = folder
        self.withheldVariables = withheldVariables
        self.environment = environment
        self.members = try reader.members(knowing: Self.keys)
        self.secrets = FlowSecrets(in: reader.node)
        self.kind = try FlowKind.of(members, reader)
    }

    func read(_ name: Name) throws(SettingsError) -> FlowSettings {
        FlowSettings(
            name: name,
            origin: reader.node.origin,
            flow: try flow(),
            source: try source(),
            format: try members["format"]?.nonEmptyText("a format"),
            idField: try members["id"]?.nonEmptyText("the name of a field"),
            columns: try members["columns"]?.textMap("a map of new names to those of the input") ?? [:],
            parameters: try parameters(),
            timeout: try duration("timeout", zero: "a time-out of nothing would end every task; leave it out for none")
                ?? kind.timeout,
            retries: try members["retries"]?.int(atLeast: 0) ?? FlowDefinition.defaultRetries,
            retryRule: try RetryReader(members, kind).read(),
            batch: try batch(),
            limit: try RateLimitReader.limit(of: name, members, among: limits),
            answerTimeout: try duration(
                "answer_timeout",
                zero: "without any time nobody can answer; leave it out for none"
            ),
            missingVariables: missingVariables
        )
    }

    private func flow() throws(SettingsError) -> any Flow {
        guard let member = members[kind.rawValue] else { return EchoFlow() }
        switch kind {
        case .exec: return try programs(try maximumOutput()).exec(member)
        case .process: return try programs(try maximumOutput()).process(member)
        case .http: return try requests(try maximumOutput()).http(member)
        case .chat: return try requests(try maximumOutput()).chat(member)
        case .embedding: return try requests(try maximumOutput()).embedding(member)
        case .echo: return EchoFlow()
        }
    }

    private func programs(_ maximumOutput: Int) -> ProgramReader {
        ProgramReader(
            reader: reader,
            members: members,
            folder: folder,
            withheldVariables: withheldVariables.union(ExecFlow.defaultWithheldVariables),
            maximumOutput: maximumOutput
        )
    }

    private func requests(_ maximumOutput: Int) -> RequestReader {
        RequestReader(maximumOutput: maximumOutput, variables: secrets.values(environment))
    }

    /// The variables that the flow needs and that are not set.
    private var missingVariables: [String] { secrets.names.filter { environment[$0] == nil } }

    /// What is doubtful about the flow, each with its place.
    func warnings(_ flow: any Flow) -> [SettingsError] {
        guard let member = members[kind.rawValue] else { return [] }
        let unset = missingVariables.map {
            member.error("the environment variable '\($0)' is not set; a worker needs it to run this flow")
        }
        guard let flow = flow as? ExecFlow else { return unset }
        return flow.warnings.map { programs(0).place($0.place, member).error($0.message) }
    }

    private func source() throws(SettingsError) -> [String] {
        try members["source"]?.texts("a path, a glob or a list of them").map { $0 == "-" ? $0 : folder.path($0) } ?? []
    }

    private func parameters() throws(SettingsError) -> JSONValue {
        guard let member = members["parameters"] else { return [:] }
        guard case .mapping = member.node.value else { throw member.expected("a map of parameters") }
        return member.node.json
    }

    /// A length of time that is not nothing; `zero` says why it must not be.
    private func duration(_ key: String, zero: String) throws(SettingsError) -> Duration? {
        guard let member = members[key] else { return nil }
        let timeout = try member.duration()
        if timeout == .zero { throw member.error(zero) }
        return timeout
    }

    private func maximumOutput() throws(SettingsError) -> Int {
        guard let member = members["max_output"] else { return ExecFlow.defaultMaximumOutput }
        guard let size = SizeText.parse(try member.text(SizeText.rule)), size > 0 else {
            throw member.expected(SizeText.rule)
        }
        if size > Self.maximumOutput { throw member.error("more than 8MiB, which no message may hold") }
        return size
    }

    private func batch() throws(SettingsError) -> BatchDefaults {
        BatchDefaults(
            errorPolicy: try errorPolicy(),
            maxRunning: try members["max_running"]?.int(atLeast: 1),
            shuffle: try members["shuffle"]?.bool(),
            maxRecords: try members["max_records"]?.int(atLeast: 1),
            strict: try members["strict"]?.bool(),
            publishTimeout: try duration("publish_timeout", zero: "without any time nothing is ever published"),
            isInteractive: try members["interactive"]?.bool()
        )
    }

    private func errorPolicy() throws(SettingsError) -> ErrorPolicy? {
        guard let member = members["error_policy"] else { return nil }
        guard let policy = ErrorPolicy(try member.text(ErrorPolicy.rule)) else {
            throw member.expected(ErrorPolicy.rule)
        }
        return policy
    }
}

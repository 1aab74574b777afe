import OrderedCollections
import SheafCore
import SheafFlows

/// Reads one entry of `flows:`.
struct FlowReader {
    /// The keys of a flow.
    static let keys = [
        "source", "format", "id", "columns", "exec", "echo", "parameters", "timeout", "retries", "retry_delay",
        "retry_max_delay", "retry_on", "directory", "environment", "max_output", "error_policy", "concurrency",
        "shuffle", "max_records", "strict", "publish_timeout", "rate", "limit", "interactive",
        "answer_timeout",
    ]
    /// The keys that only a program has a use for.
    private static let programKeys = ["directory", "environment", "max_output"]
    /// The largest output, because a message may have no more.
    private static let maximumOutput = 8 << 20

    private let reader: SettingsReader
    private let members: [String: SettingsReader]
    private let folder: ConfigurationFolder
    private let withheldVariables: Set<String>
    private let limits: [Name: RateLimit?]

    init(
        _ reader: SettingsReader,
        folder: ConfigurationFolder,
        withheldVariables: Set<String>,
        limits: [Name: RateLimit?] = [:]
    ) throws(SettingsError) {
        self.limits = limits
        self.reader = reader
        self.folder = folder
        self.withheldVariables = withheldVariables
        self.members = try reader.members(knowing: Self.keys)
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
            timeout: try duration("timeout", zero: "a time-out of nothing would end every task; leave it out for none"),
            retries: try members["retries"]?.int(atLeast: 0) ?? FlowDefinition.defaultRetries,
            retryRule: try RetryReader(members).read(),
            batch: try batch(),
            limit: try LimitReader.limit(of: name, members, among: limits),
            answerTimeout: try duration(
                "answer_timeout",
                zero: "without any time nobody can answer; leave it out for none"
            )
        )
    }

    private func flow() throws(SettingsError) -> any Flow {
        let isEcho = try members["echo"]?.bool() ?? false
        if let exec = members["exec"] {
            if isEcho { throw reader.error("it has both exec and echo; a flow does one thing") }
            return try execFlow(exec)
        }
        guard isEcho else {
            throw reader.error("it says nothing to do; give it exec: [\"program\", \"argument\"] or echo: true")
        }
        for key in Self.programKeys {
            if let member = members[key] { throw member.error("only a flow with exec has a use for it") }
        }
        return EchoFlow()
    }

    private func execFlow(_ exec: SettingsReader) throws(SettingsError) -> ExecFlow {
        let items = try exec.elements("a list with a program and its arguments, such as [\"wc\", \"-w\"]")
        var command: [String] = []
        for item in items { command.append(try item.text()) }
        let environment = members["environment"]
        var variables: [String: String] = [:]
        for (name, value) in try environment?.textMap("a map of variables") ?? [:] { variables[name] = value }
        let directory = try members["directory"]?.nonEmptyText("a folder") ?? "."
        do {
            return try ExecFlow(
                command,
                directory: folder.path(directory),
                environment: variables,
                withheldVariables: withheldVariables.union(ExecFlow.defaultWithheldVariables),
                maximumOutput: try maximumOutput()
            )
        } catch let problem as FlowConfigurationProblem {
            throw place(problem.place, items, environment).error(problem.message)
        } catch let error as SettingsError {
            throw error
        } catch {
            throw exec.error("\(error)")
        }
    }

    /// Points at the argument or the variable that a problem is about.
    private func place(
        _ place: FlowConfigurationProblem.Place,
        _ items: [SettingsReader],
        _ environment: SettingsReader?
    ) -> SettingsReader {
        switch place {
        case .argument(let position) where items.indices.contains(position): items[position]
        case .environment(let name):
            (try? environment?.members(""))?.first { $0.name == name }?.value ?? reader
        default: members["exec"] ?? reader
        }
    }

    /// What is doubtful about the flow, each with its place.
    func warnings(_ flow: any Flow) -> [SettingsError] {
        guard let flow = flow as? ExecFlow, let exec = members["exec"] else { return [] }
        let items = (try? exec.elements("")) ?? []
        return flow.warnings.map { place($0.place, items, members["environment"]).error($0.message) }
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
            concurrency: try members["concurrency"]?.int(atLeast: 1),
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

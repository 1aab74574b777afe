import OrderedCollections
import SheafFlows

/// Reads what belongs to flows that run programs.
struct ProgramReader {
    let reader: SettingsReader
    let members: [String: SettingsReader]
    let folder: ConfigurationFolder
    let withheldVariables: Set<String>
    let maximumOutput: Int

    func exec(_ member: SettingsReader) throws(SettingsError) -> ExecFlow {
        try made(member) { command, directory, variables throws(FlowConfigurationProblem) in
            try ExecFlow(
                command,
                directory: directory,
                environment: variables,
                withheldVariables: withheldVariables,
                maximumOutput: maximumOutput
            )
        }
    }

    func process(_ member: SettingsReader) throws(SettingsError) -> ProcessFlow {
        let maximumTasks = try members["max_tasks"]?.int(atLeast: 1)
        return try made(member) { command, directory, variables throws(FlowConfigurationProblem) in
            try ProcessFlow(
                command,
                directory: directory,
                environment: variables,
                withheldVariables: withheldVariables,
                maximumTasks: maximumTasks,
                maximumOutput: maximumOutput
            )
        }
    }

    private func made<Program>(
        _ member: SettingsReader,
        _ make: ([String], String, [String: String]) throws(FlowConfigurationProblem) -> Program
    ) throws(SettingsError) -> Program {
        let items = try member.elements("a list with a program and its arguments, such as [\"wc\", \"-w\"]")
        var command: [String] = []
        for item in items { command.append(try item.text()) }
        var variables: [String: String] = [:]
        for (name, value) in try members["environment"]?.textMap("a map of variables") ?? [:] {
            variables[name] = value
        }
        let directory = try members["directory"]?.nonEmptyText("a folder") ?? "."
        do throws(FlowConfigurationProblem) {
            return try make(command, folder.path(directory), variables)
        } catch {
            throw place(error.place, member).error(error.message)
        }
    }

    /// Points at the argument or the variable that a problem is about.
    func place(_ place: FlowConfigurationProblem.Place, _ member: SettingsReader) -> SettingsReader {
        switch place {
        case .argument(let position):
            guard let items = try? member.elements(""), items.indices.contains(position) else { return member }
            return items[position]
        case .environment(let name):
            return (try? members["environment"]?.members(""))?.first { $0.name == name }?.value ?? reader
        case .arguments, .key: return member
        }
    }
}

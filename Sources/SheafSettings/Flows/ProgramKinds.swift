import OrderedCollections
import SheafFlows

/// A flow that starts a program for each task.
struct ExecKind: FlowKind {
    let key = "exec"
    let example = #"exec: ["program", "argument"]"#
    let options = ["directory", "environment", "max_output"]

    func read(_ entry: FlowEntry) throws(SettingsError) -> any Flow {
        let maximumOutput = try entry.maximumOutput()
        return try entry.program { command, directory, variables throws(FlowConfigurationProblem) in
            try ExecFlow(
                command,
                directory: directory,
                environment: variables,
                withheldVariables: entry.withheldFromPrograms,
                maximumOutput: maximumOutput
            )
        }
    }

    func warnings(of flow: any Flow, in entry: FlowEntry) -> [SettingsError] {
        guard let flow = flow as? ExecFlow else { return [] }
        return flow.warnings.map { entry.reader(at: $0.place).error($0.message) }
    }
}

/// A flow that hands its tasks to a program that stays.
struct ProcessKind: FlowKind {
    let key = "process"
    let options = ["directory", "environment", "max_output", "max_tasks"]

    func read(_ entry: FlowEntry) throws(SettingsError) -> any Flow {
        let maximumOutput = try entry.maximumOutput()
        let maximumTasks = try entry.members["max_tasks"]?.int(atLeast: 1)
        return try entry.program { command, directory, variables throws(FlowConfigurationProblem) in
            try ProcessFlow(
                command,
                directory: directory,
                environment: variables,
                withheldVariables: entry.withheldFromPrograms,
                maximumTasks: maximumTasks,
                maximumOutput: maximumOutput
            )
        }
    }

    /// The program names its own error types.
    func canFail(with type: String) -> Bool {
        type != "all" && type != "none" && type.wholeMatch(of: /[A-Za-z_][A-Za-z0-9_.-]{0,63}/) != nil
    }
}

extension FlowEntry {
    fileprivate var withheldFromPrograms: Set<String> { withheldVariables.union(ExecFlow.defaultWithheldVariables) }

    /// Reads the command, the folder and the variables of a program, and makes a flow of them.
    fileprivate func program<Program>(
        _ make: ([String], String, [String: String]) throws(FlowConfigurationProblem) -> Program
    ) throws(SettingsError) -> Program {
        let items = try value.elements("a list with a program and its arguments, such as [\"wc\", \"-w\"]")
        var command: [String] = []
        for item in items { command.append(try item.text()) }
        var variables: [String: String] = [:]
        for (name, value) in try members["environment"]?.stringMap("a map of variables") ?? [:] {
            variables[name] = value
        }
        let directory = try members["directory"]?.nonEmptyText("a folder") ?? "."
        do throws(FlowConfigurationProblem) {
            return try make(command, path(directory), variables)
        } catch {
            throw reader(at: error.place).error(error.message)
        }
    }

    /// Returns the argument or the variable that a problem is about.
    fileprivate func reader(at place: FlowConfigurationProblem.Place) -> SettingsReader {
        switch place {
        case .argument(let position):
            guard let items = try? value.elements(""), items.indices.contains(position) else { return value }
            return items[position]
        case .environment(let name):
            return (try? members["environment"]?.members(""))?.first { $0.name == name }?.value ?? reader
        case .arguments, .key: return value
        }
    }
}

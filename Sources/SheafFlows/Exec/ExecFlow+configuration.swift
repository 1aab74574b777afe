import SheafCore
import Subprocess

extension ExecFlow {
    /// The longest argument that Linux takes, with the NUL behind it (MAX_ARG_STRLEN).
    private static let maximumArgument = 128 << 10

    /// What tells of the task, by the names of the variables.
    private static let taskValues: [String: @Sendable (FlowTask) -> String] = [
        "SHEAF_BATCH_ID": { $0.batch.text },
        "SHEAF_TASK_ID": { $0.id },
        "SHEAF_TASK_INDEX": { String($0.index) },
        "SHEAF_RECORD_ID": { $0.record.id },
        "SHEAF_ATTEMPT": { String($0.attempt) },
        "SHEAF_PARAMETERS": { $0.parameters.text },
    ]

    /// The variables that tell of the task.
    static let taskVariables = Set(taskValues.keys)

    /// What is to be started for a task.
    func configuration(for task: FlowTask) throws(FlowError) -> Configuration {
        try command.configuration(arguments: try rendered(task), variables: try variables(for: task))
    }

    private func rendered(_ task: FlowTask) throws(FlowError) -> [String] {
        guard arguments.contains(where: \.isTemplated) else { return arguments.map(\.text) }
        var rendered: [String] = []
        do throws(TemplateError) {
            let scope = try TemplateScope(task)
            for (position, argument) in arguments.enumerated() {
                let text: String
                do {
                    text = try argument.render(scope)
                } catch {
                    throw TemplateError("exec[\(position + 1)] is '\(argument.text)', but \(error)")
                }
                if text.utf8.contains(0) {
                    throw TemplateError("exec[\(position + 1)] would contain a NUL, which no argument can")
                }
                if text.utf8.count >= Self.maximumArgument {
                    throw TemplateError(
                        """
                        exec[\(position + 1)] would be \(text.utf8.count) bytes long, and an argument may have \
                        \(Self.maximumArgument - 1); the program can read the record from standard input instead
                        """
                    )
                }
                rendered.append(text)
            }
        } catch {
            throw FlowError(type: "template", message: error.description)
        }
        return rendered
    }

    private func variables(for task: FlowTask) throws(FlowError) -> [String: String] {
        if task.record.id.utf8.contains(0) {
            throw FlowError(type: "template", message: "the id of the record contains a NUL, which no variable can")
        }
        return Self.taskValues.mapValues { $0(task) }
    }
}

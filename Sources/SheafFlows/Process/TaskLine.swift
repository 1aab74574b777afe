import SheafCore

/// A task as a child reads it.
enum TaskLine {
    /// Appends the line of a task, with its line break.
    static func write(_ task: FlowTask, id: String, to line: inout [UInt8]) {
        func field(_ name: String) { line.append(contentsOf: name.utf8) }
        field("{\"task_id\":")
        JSON.write(id, to: &line)
        field(",\"record_id\":")
        JSON.write(task.record.id, to: &line)
        field(",\"record\":")
        task.record.writeJSON(to: &line)
        field(",\"parameters\":")
        task.parameters.write(to: &line)
        field(",\"attempt\":\(task.attempt)}\n")
    }
}

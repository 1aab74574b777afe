import SheafCore

/// A task as a child reads it.
enum TaskLine {
    /// The line, with its line break.
    static func of(_ task: FlowTask) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(task.record.bytes.count + 160)
        func field(_ name: String) { line.append(contentsOf: name.utf8) }
        field("{\"task_id\":")
        JSON.write(task.id, to: &line)
        field(",\"record_id\":")
        JSON.write(task.record.id, to: &line)
        field(",\"record\":")
        task.record.writeJSON(to: &line)
        field(",\"parameters\":")
        task.parameters.write(to: &line)
        field(",\"attempt\":\(task.attempt)}\n")
        return line
    }
}

import OrderedCollections
import SheafCore

/// The values of a template's names for one task.
struct TemplateScope {
    let record: JSONValue
    let recordID: String
    let parameters: JSONValue
    let sheaf: JSONValue

    init(_ task: FlowTask) throws(TemplateError) {
        do {
            self.record = try task.record.json
        } catch {
            throw TemplateError("the record '\(task.record.id)' is not JSON: \(error)")
        }
        self.recordID = task.record.id
        self.parameters = task.parameters
        self.sheaf = [
            "batch_id": .string(task.batch.text),
            "task_id": .string(task.id),
            "task_index": .integer(task.index),
            "record_id": .string(task.record.id),
            "attempt": .integer(task.attempt),
        ]
    }

    /// The value of a name without dots; reserved names come first, so that a record cannot override them.
    subscript(name: String) -> JSONValue? {
        switch name {
        case "record": record
        case "parameters": parameters
        case "sheaf": sheaf
        default: record[name] ?? parameters[name]
        }
    }

    /// Returns the value at a path, by member names and by positions in lists.
    func value(at path: [String]) -> JSONValue? {
        guard let first = path.first, var value = self[first] else { return nil }
        for part in path.dropFirst() {
            guard let member = value.member(part) else { return nil }
            value = member
        }
        return value
    }

    /// Returns the error for a variable without a value.
    func missing(_ path: [String]) -> TemplateError {
        let name = path.joined(separator: ".")
        if name.hasPrefix("${") {
            return TemplateError("the environment variable '\(name.dropFirst(2).dropLast())' of the worker is not set")
        }
        switch path.first {
        case "parameters":
            return TemplateError(
                "there is no parameter '\(path.dropFirst().joined(separator: "."))'\(known(parameters))"
            )
        case "sheaf":
            return TemplateError("there is no '\(name)'\(known(sheaf))")
        default:
            guard record.objectValue != nil else {
                let kind = record.arrayValue == nil ? "a plain value" : "a list"
                return TemplateError(
                    "the record '\(recordID)' is \(kind) without a field '\(name)'; use {{record}} for all of it"
                )
            }
            return TemplateError("the record '\(recordID)' has no field '\(name)'\(known(record))")
        }
    }

    private func known(_ value: JSONValue) -> String {
        let names = (value.objectValue?.keys.prefix(12)).map(Array.init) ?? []
        return names.isEmpty ? "" : "; there are: \(names.joined(separator: ", "))"
    }
}

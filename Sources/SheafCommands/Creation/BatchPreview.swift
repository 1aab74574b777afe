import SheafCore
import SheafSources

/// A preview of a batch, for `--dry-run`.
struct BatchPreview: Sendable, Equatable {
    /// The flow.
    let flow: Name
    /// How many records there are, including unreadable ones.
    let records: Int
    /// How many of them cannot be read.
    let invalid: Int
    /// How many tasks each record makes.
    let variants: Int
    /// The record that would be published first.
    let first: Record?
    /// The parameters of its first task.
    let parameters: String?
    /// The first unreadable records.
    let complaints: [String]

    /// How many tasks there would be; an unreadable record makes as many as others, and all of them fail.
    var total: Int { records * variants }

    private static let complaintLimit = 5

    /// Reads the whole input and counts.
    static func read(_ source: RecordSource, request: BatchRequest) async throws -> BatchPreview {
        var records = 0
        var invalid = 0
        var first: Record?
        var complaints: [String] = []
        for try await chunk in source.chunks() {
            for item in chunk {
                records += 1
                switch item.content {
                case .record(let record): first = first ?? record
                case .invalid:
                    invalid += 1
                    if complaints.count < complaintLimit { complaints.append(item.complaint) }
                }
            }
        }
        return BatchPreview(
            flow: request.flow,
            records: records,
            invalid: invalid,
            variants: request.variants.variants.count,
            first: first,
            parameters: request.variants.variants.first ?? nil,
            complaints: complaints
        )
    }

    /// Prints the preview: JSON on standard output, text on standard error.
    func show(on console: Console, json: Bool) throws {
        if json {
            try console.print(self.json.text)
            return
        }
        console.say("would publish \(Wording.count(total, "task")) of \(flow) from \(Wording.count(records, "record"))")
        if variants > 1 { console.say("each record makes \(variants) tasks, one for each choice of parameters") }
        if invalid > 0 {
            console.say("\(Wording.count(invalid, "record")) cannot be read and would count as failed:")
            for complaint in complaints { console.say("  \(complaint)") }
            if invalid > complaints.count { console.say("  … and \(invalid - complaints.count) more") }
        }
        if let first {
            console.say("first record: \(first.id)")
            try console.print(Self.excerpt(of: first))
        }
        if let parameters { console.say("parameters: \(parameters)") }
    }

    private var json: JSONValue {
        [
            "dry_run": true, "flow": .string(flow.text), "total": .integer(total), "records": .integer(records),
            "invalid": .integer(invalid * variants), "variants": .integer(variants),
            "first": first.map { ["record_id": .string($0.id), "record": (try? $0.json) ?? .null] as JSONValue }
                ?? .null,
        ]
    }

    /// Returns the record as JSON on one line, cut if it is long.
    private static func excerpt(of record: Record) -> String {
        var bytes: [UInt8] = []
        record.writeJSON(to: &bytes)
        let limit = 2000
        return String(decoding: bytes.prefix(limit), as: UTF8.self) + (bytes.count > limit ? "…" : "")
    }
}

import SheafBatches
package import SheafCore
import SheafFlows
package import SheafSettings
package import SheafSources

/// What a batch would be, for a user who wants to look before anything is published.
package struct BatchPreview: Sendable {
    /// The flow.
    package let flow: Name
    /// How many records there are, including unreadable ones.
    package let records: Int
    /// How many of them cannot be read.
    package let invalid: Int
    /// How many of them are identical to an earlier one, so that they do not run.
    package let identical: Int
    /// How many tasks each record makes.
    package let variants: Int
    /// The record that would be published first.
    package let first: Record?
    /// The parameters of its first task.
    package let parameters: String?
    /// The first unreadable records.
    package let complaints: [String]
    /// What its requests would use and cost; nil if the flow asks no model.
    package let estimate: FlowPricing.Estimate?

    /// How many tasks there would be; an unreadable record makes as many as others, and all of them fail.
    package var total: Int { records * variants }

    private static let complaintLimit = 5

    /// Reads the whole input and counts.
    package static func read(
        _ source: RecordSource,
        request: BatchRequest,
        pricing: FlowPricing?
    ) async throws -> BatchPreview {
        let parameters = pricing == nil ? [] : request.variants.variants.map { $0.flatMap { try? JSON.parse($0) } }
        var estimate = pricing?.estimate
        var finder = request.options.deduplication.map { TwinFinder($0, of: request.source) }
        var records = 0
        var invalid = 0
        var first: Record?
        var complaints: [String] = []
        for try await chunk in source.chunks() {
            for item in chunk {
                records += 1
                switch item.content {
                case .record(let record):
                    first = first ?? record
                    if finder?.first(of: record, number: records - 1) != nil { continue }
                    for variant in parameters {
                        estimate?.add(
                            FlowTask(batch: "preview", index: 0, record: record, parameters: variant ?? [:], attempt: 1)
                        )
                    }
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
            identical: finder?.count ?? 0,
            variants: request.variants.variants.count,
            first: first,
            parameters: request.variants.variants.first ?? nil,
            complaints: complaints,
            estimate: estimate
        )
    }

    /// The preview as a JSON object.
    package var json: JSONValue {
        [
            "dry_run": true, "flow": .string(flow.text), "total": .integer(total), "records": .integer(records),
            "invalid": .integer(invalid * variants), "twins": .integer(identical * variants),
            "variants": .integer(variants),
            "first": first.map { ["record_id": .string($0.id), "record": (try? $0.json) ?? .null] as JSONValue }
                ?? .null,
            "estimate": estimate?.json ?? .null,
        ]
    }
}

extension FlowPricing.Estimate {
    fileprivate var json: JSONValue {
        [
            "input_tokens": ["least": .integer(input.least), "most": .integer(input.most)],
            "output_tokens": ["most": output.map { .integer($0) } ?? .null],
            "cost": ["least": least.json, "most": most.json], "failing": .integer(failing),
        ]
    }
}

/// Reads a whole input and refuses it if a record cannot be read.
package struct StrictCheck: Sendable {
    private let limit: Int

    /// Creates a check that lists at most `limit` unreadable records.
    package init(limit: Int = 20) { self.limit = limit }

    /// Throws a ``Problem`` that lists the first unreadable records with place and cause, if there are any.
    package func run(_ source: RecordSource) async throws {
        let report = try await source.checkStrictly(keeping: limit)
        if !report.isValid { throw refusal(report) }
    }

    /// Returns the problem for a report of unreadable records.
    package func refusal(_ report: StrictReport) -> Problem {
        let records = report.checked == 1 ? "1 record" : "\(report.checked) records"
        var lines = ["\(report.invalid) of \(records) cannot be read; nothing was published"]
        lines += report.first.map(\.complaint)
        if report.invalid > report.first.count { lines.append("… and \(report.invalid - report.first.count) more") }
        return Problem(.badData, lines.joined(separator: "\n"))
    }
}

extension SourceItem {
    /// The problem of an item with its place.
    package var complaint: String {
        switch content {
        case .record: place
        case .invalid(let message): message.hasPrefix(place) ? message : "\(place): \(message)"
        }
    }
}

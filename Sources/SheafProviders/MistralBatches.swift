import OrderedCollections
package import SheafCore
package import SheafFlows

/// The Batch API of Mistral.
///
/// The format is that of Mistral's documentation, <https://docs.mistral.ai/capabilities/batch>.
package struct MistralBatches: ModelBatches {
    /// The limits of Mistral: 100,000 requests, the smaller of two documented numbers, and 512 MB, of which a tenth is
    /// kept free.
    package static let limits = BatchLimits(requests: 90_000, inputs: .max, bytes: 460_000_000)

    /// The names of our entries in the metadata of a submission.
    private static let metadata = (key: "sheaf_submission", batch: "sheaf_batch")
    /// The most entries of a page of the list.
    private static let page = 100
    /// After how many hours a submission ends, whatever is left.
    private static let hours = 24

    package static let path = "/batch/jobs"

    package let limits: BatchLimits
    package let flow: any ModelFlow

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - flow: Builds the requests and reads the answers; its service must be Mistral's.
    ///   - limits: How large a submission can be.
    package init(_ flow: any ModelFlow, limits: BatchLimits = MistralBatches.limits) {
        self.flow = flow
        self.limits = limits
    }

    // MARK: Submitting

    package func encode(_ task: FlowTask, id: String) throws(FlowError) -> BatchLine {
        let request = try flow.request(for: task)
        // The model belongs to the submission.
        var body = request.body.objectValue ?? [:]
        body["model"] = nil
        let line: JSONValue = ["custom_id": .string(id), "body": .object(body)]
        return BatchLine(bytes: line.bytes, model: request.model, inputs: request.inputs)
    }

    package func prepare(_ requests: BatchRequests, key: String) async throws -> Preparation {
        let answer = try await attempt {
            try await service.upload(
                "/files",
                fields: [("purpose", "batch")],
                name: "\(key).jsonl",
                file: requests.spool.descriptor,
                size: requests.size,
                // The key is random, so that it does not occur in what it bounds.
                boundary: "\(key)-boundary",
                within: Self.patience.transfer
            )
        }
        guard let id = Self.id(answer.json) else { throw Self.junk(answer, "a file's id") }
        return Preparation(id: id, createdAt: Self.amount(answer.json?["created_at"]), model: requests.model)
    }

    package func create(
        _ preparation: Preparation,
        _ requests: BatchRequests?,
        key: String,
        batch: Name
    ) async throws -> SubmissionState {
        let body: JSONValue = [
            "input_files": [.string(preparation.id)], "endpoint": .string("/v1\(flow.path)"),
            "model": .string(preparation.model), "timeout_hours": .integer(Self.hours),
            "metadata": [Self.metadata.key: .string(key), Self.metadata.batch: .string(batch.text)],
        ]
        let answer = try await attempt {
            try await service.exchange("POST", Self.path, body: body, within: Self.patience.exchange)
        }
        return try Self.state(answer)
    }

    package func find(_ preparation: Preparation, key: String, requests: Int) async throws -> SubmissionMatches {
        var found: [SubmissionState] = []
        var seen: Set<String> = []
        for page in 0... {
            let path = "\(Self.path)?page=\(page)&page_size=\(Self.page)&order_by=-created"
            let answer = try await attempt { try await service.exchange("GET", path, within: Self.patience.exchange) }
            guard let json = answer.json, json["error"] == nil,
                let entries = json["data"]?.arrayValue ?? (json["total"] == 0 ? [] : nil)
            else { throw Self.junk(answer, "a list of jobs") }
            // The filter of the list is not used: a job that it missed would be created again.
            var hasNew = false
            for entry in entries {
                guard let id = Self.id(entry), seen.insert(id).inserted else { continue }
                hasNew = true
                let isOurs =
                    entry["metadata"]?[Self.metadata.key]?.stringValue == key
                    || entry["input_files"]?.arrayValue?.contains(.string(preparation.id)) == true
                if isOurs, let state = Self.state(entry) { found.append(state) }
            }
            // A page without new entries is the end, or is the same page again.
            if !hasNew { break }
            let times = entries.map { Self.amount($0["created_at"]) }
            if let first = times.first, let last = times.last, last > 0, first > last,
                first < preparation.createdAt - 3_600
            {
                break
            }
        }
        return SubmissionMatches(certain: found.sorted { $0.createdAt < $1.createdAt })
    }

    // MARK: Cleaning up

    package func remove(_ preparation: Preparation) async throws {
        _ = try await attempt {
            try await service.exchange("DELETE", "/files/\(preparation.id)", within: Self.patience.exchange)
        }
    }

    // MARK: Results

    package func read(_ state: SubmissionState, _ each: (BatchRow) async throws -> Void) async throws -> RowCounts {
        var counts = RowCounts()
        for file in state.files {
            try await readLines(of: "/files/\(file)/content", into: &counts, Self.row, each)
        }
        return counts
    }

    /// Reads a line of results; returns nil if it is none.
    package static func row(_ line: [UInt8]) -> BatchRow? {
        guard let row = OpenAIBatches.row(line) else { return nil }
        // The body of an error is JSON in a string.
        guard case .answer(let status, .string(let text)) = row.content, let body = try? JSON.parse(text) else {
            return row
        }
        return BatchRow(id: row.id, content: .answer(status: status, body: body))
    }

    // MARK: Answers

    package static func state(_ answer: ModelAnswer) throws -> SubmissionState {
        guard var state = answer.json.flatMap({ state($0) }) else { throw junk(answer, "a job's id and status") }
        state.retryAfter = answer.retryAfter
        return state
    }

    /// Reads a job; returns nil if it has no id or status.
    package static func state(_ json: JSONValue) -> SubmissionState? {
        guard let id = id(json), let status = json["status"]?.stringValue else { return nil }
        var state = SubmissionState(id: id, phase: phase(status.uppercased(), json["errors"]?.arrayValue ?? []))
        state.files = ["output_file", "error_file"].compactMap { json[$0]?.stringValue }.filter(isID)
        // Those that failed are among those that are completed.
        state.counted = amount(json["completed_requests"])
        state.createdAt = amount(json["created_at"])
        return state
    }

    private static func phase(_ status: String, _ errors: [JSONValue]) -> SubmissionState.Phase {
        switch status {
        case "SUCCESS", "TIMEOUT_EXCEEDED", "CANCELLED": return .ended
        case "FAILED":
            let reasons = errors.prefix(3).compactMap { $0["message"]?.stringValue }
            return .refused(reasons.isEmpty ? "no reason is given" : reasons.joined(separator: "; "))
        default: return .running
        }
    }
}

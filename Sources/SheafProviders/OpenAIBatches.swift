import OrderedCollections
package import SheafCore
package import SheafFlows

/// The Files and Batches API of OpenAI, and of services that offer the same API.
///
/// The format is that of OpenAI's documentation, <https://developers.openai.com/api/docs/guides/batch>.
package struct OpenAIBatches: ModelBatches {
    /// The limits of OpenAI: 50,000 requests, 50,000 inputs of embeddings, and 200 MB, of which a tenth is kept free.
    package static let limits = BatchLimits(requests: 50_000, inputs: 50_000, bytes: 180_000_000)

    /// The limits of Azure OpenAI, of which a tenth is kept free.
    package static let azureLimits = BatchLimits(requests: 90_000, inputs: 90_000, bytes: 180_000_000)

    /// Whose form of the API a service offers.
    package enum Dialect: Sendable {
        case openai, azure
    }

    /// After how many seconds Azure deletes files: 30 days, the most that it accepts.
    private static let azureExpiry = 2_592_000
    /// The names of our entries in the metadata of a submission.
    private static let metadata = (key: "sheaf_submission", batch: "sheaf_batch")
    /// The most entries of a page of the list.
    private static let page = 100

    package static let path = "/batches"

    package let limits: BatchLimits
    package let flow: any ModelFlow
    private let dialect: Dialect

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - flow: Builds the requests and reads the answers; its service must offer the API.
    ///   - dialect: Whose form of the API the service offers.
    ///   - limits: How large a submission can be.
    package init(_ flow: any ModelFlow, dialect: Dialect = .openai, limits: BatchLimits = OpenAIBatches.limits) {
        self.flow = flow
        self.dialect = dialect
        self.limits = limits
    }

    // MARK: Submitting

    package func encode(_ task: FlowTask, id: String) throws(FlowError) -> BatchLine {
        let request = try flow.request(for: task)
        let line: JSONValue = [
            "custom_id": .string(id), "method": "POST", "url": .string(endpoint), "body": request.body,
        ]
        return BatchLine(bytes: line.bytes, model: request.model, inputs: request.inputs)
    }

    /// The path in requests, which does not depend on the base URL.
    var endpoint: String {
        switch dialect {
        case .openai: "/v1\(flow.path)"
        // The name of the deployment is in the body.
        case .azure: flow.path.replacing("/deployments/{model}", with: "")
        }
    }

    package func prepare(_ requests: BatchRequests, key: String) async throws -> Preparation {
        var fields = [("purpose", "batch")]
        if dialect == .azure {
            // A resource has room for 500 files without an expiry, and for 10,000 with one.
            fields += [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "\(Self.azureExpiry)")]
        }
        let form = fields
        let answer = try await attempt {
            try await service.upload(
                "/files",
                fields: form,
                name: "\(key).jsonl",
                file: requests.spool.descriptor,
                size: requests.size,
                // The key is random, so that it does not occur in what it bounds.
                boundary: "\(key)-boundary",
                within: Self.patience.transfer
            )
        }
        guard let id = Self.id(answer.json) else { throw Self.junk(answer, "a file's id") }
        return Preparation(id: id, createdAt: Self.amount(answer.json?["created_at"]))
    }

    package func create(
        _ preparation: Preparation,
        _ requests: BatchRequests?,
        key: String,
        batch: Name
    ) async throws -> SubmissionState {
        var body: OrderedDictionary<String, JSONValue> = [
            "input_file_id": .string(preparation.id), "endpoint": .string(endpoint), "completion_window": "24h",
            "metadata": [Self.metadata.key: .string(key), Self.metadata.batch: .string(batch.text)],
        ]
        if dialect == .azure {
            body["output_expires_after"] = ["anchor": "created_at", "seconds": .integer(Self.azureExpiry)]
        }
        let request = JSONValue.object(body)
        let answer = try await attempt {
            try await service.exchange(
                "POST",
                Self.path,
                body: request,
                headers: [("Idempotency-Key", key)],
                within: Self.patience.exchange
            )
        }
        return try Self.state(answer)
    }

    package func find(_ preparation: Preparation, key: String, requests: Int) async throws -> SubmissionMatches {
        var found: [SubmissionState] = []
        var seen: Set<String> = []
        var after: String?
        while true {
            let path = "\(Self.path)?limit=\(Self.page)" + (after.map { "&after=\($0)" } ?? "")
            let answer = try await attempt { try await service.exchange("GET", path, within: Self.patience.exchange) }
            guard let entries = answer.json?["data"]?.arrayValue ?? answer.json?.arrayValue else {
                throw Self.junk(answer, "a list of batches")
            }
            for entry in entries {
                let isOurs =
                    entry["metadata"]?[Self.metadata.key]?.stringValue.map { $0 == key }
                    ?? (entry["input_file_id"]?.stringValue == preparation.id)
                if isOurs, let state = Self.state(entry, nil), !found.contains(where: { $0.id == state.id }) {
                    found.append(state)
                }
            }
            // Some services ignore `after`, and so would return the first page again and again.
            let last = entries.last?["id"]?.stringValue
            guard let last, Self.isID(last), seen.insert(last).inserted, answer.json?["has_more"]?.boolValue != false
            else { break }
            // The list begins with the newest. By the provider's clock, a submission is younger than its file.
            let newest = entries.compactMap { $0["created_at"]?.intValue }.max() ?? .max
            if newest < preparation.createdAt - 3_600 { break }
            after = last
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
        guard let json = try? JSON.parse(line), let id = json["custom_id"]?.stringValue else { return nil }
        let error = json["error"] == .null ? .none : json["error"]
        if let response = json["response"], response != .null {
            let body = response["body"] ?? .null
            switch response["status_code"]?.intValue {
            case let status? where (100..<600).contains(status):
                return BatchRow(id: id, content: .answer(status: status, body: body))
            case nil where error == nil && body.objectValue != nil:
                return BatchRow(id: id, content: .answer(status: 200, body: body))
            default:
                let message = "the provider reports no status for the request"
                let failure = FlowError(type: "connection", message: message, isRetryable: true)
                return BatchRow(id: id, content: .failure(failure))
            }
        }
        guard let error else { return nil }
        let code = error["code"]?.stringValue ?? error["code"]?.intValue.map(String.init) ?? ""
        if ["batch_expired", "batch_cancelled"].contains(code) { return BatchRow(id: id, content: .notRun) }
        if let status = Int(code), (100..<600).contains(status) {
            return BatchRow(id: id, content: .answer(status: status, body: ["error": error]))
        }
        let message = error["message"]?.stringValue ?? error.stringValue ?? "no reason is given"
        let mayPass = ["server_error", "rate_limit_exceeded", "timeout"].contains(code)
        let failure = FlowError(
            type: "request-failed",
            message: "the provider did not answer the request: \(code.isEmpty ? "" : "\(code): ")\(message)",
            isRetryable: mayPass
        )
        return BatchRow(id: id, content: .failure(failure))
    }

    // MARK: Answers

    package static func state(_ answer: ModelAnswer) throws -> SubmissionState {
        guard let state = answer.json.flatMap({ state($0, answer.retryAfter) }) else {
            throw junk(answer, "a batch's id and status")
        }
        return state
    }

    /// Reads a batch; returns nil if it has no id or status.
    package static func state(_ json: JSONValue, _ retryAfter: Duration?) -> SubmissionState? {
        guard let id = id(json), let status = json["status"]?.stringValue else { return nil }
        var state = SubmissionState(
            id: id,
            phase: phase(status.lowercased(), json["errors"]?["data"]?.arrayValue ?? [])
        )
        // Azure writes an empty string for a file that does not exist.
        state.files = ["output_file_id", "error_file_id"].compactMap { json[$0]?.stringValue }.filter(isID)
        state.counted = amount(json["request_counts"]?["completed"]) + amount(json["request_counts"]?["failed"])
        state.createdAt = amount(json["created_at"])
        state.retryAfter = retryAfter
        return state
    }

    private static func phase(_ status: String, _ errors: [JSONValue]) -> SubmissionState.Phase {
        switch status {
        case "completed", "expired", "cancelled", "canceled": return .ended
        case "failed":
            let reasons = errors.prefix(3).map { error in
                let line = error["line"]?.intValue.map { "line \($0): " } ?? ""
                let code = error["code"]?.stringValue.map { "\($0): " } ?? ""
                return "\(line)\(code)\(error["message"]?.stringValue ?? "no reason is given")"
            }
            let message = reasons.isEmpty ? "no reason is given" : reasons.joined(separator: "; ")
            let isOverQuota = errors.contains { $0["code"] == "token_limit_exceeded" }
            return isOverQuota ? .refusedForNow(message) : .refused(message)
        default: return .running
        }
    }
}

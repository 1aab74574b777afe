package import SheafCore
package import SheafFlows

/// The Files and Batches API of OpenAI, and of services that offer the same API.
///
/// The format is that of OpenAI's documentation, <https://developers.openai.com/api/docs/guides/batch>.
package struct OpenAIBatches: BatchProvider {
    /// The limits of OpenAI: 50,000 requests, 50,000 inputs of embeddings, and 200 MB, of which a tenth is kept free.
    package static let limits = BatchLimits(requests: 50_000, inputs: 50_000, bytes: 180_000_000)

    /// How long a short exchange, and the transfer of a file, may take.
    private static let patience = (exchange: Duration.seconds(60), transfer: Duration.seconds(3_600))
    /// The names of our entries in the metadata of a submission.
    private static let metadata = (key: "sheaf_submission", batch: "sheaf_batch")
    /// The most entries of a page of the list.
    private static let page = 100
    /// What a line of results has besides the answer, in bytes.
    private static let lineOverhead = 4 << 10

    package let limits: BatchLimits
    package let flow: any ModelFlow

    private var service: ModelService { flow.service }

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - flow: Builds the requests and reads the answers; its service must offer the API.
    ///   - limits: How large a submission can be.
    package init(_ flow: any ModelFlow, limits: BatchLimits = OpenAIBatches.limits) {
        self.flow = flow
        self.limits = limits
    }

    package var address: String { service.base }
    package var use: String { "\(flow.examine().use), by its batch API" }

    // MARK: Submitting

    package func encode(_ task: FlowTask, id: String) throws(FlowError) -> BatchLine {
        let request = try flow.request(for: task)
        let line: JSONValue = [
            "custom_id": .string(id), "method": "POST", "url": .string(endpoint), "body": request.body,
        ]
        return BatchLine(bytes: line.bytes, model: request.model, inputs: request.inputs)
    }

    /// The path in requests, which has its version whatever the base URL is.
    private var endpoint: String { "/v1\(flow.path)" }

    package func upload(_ requests: SpoolFile, size: Int, key: String) async throws -> UploadedFile {
        let answer = try await attempt {
            try await service.upload(
                "/files",
                fields: [("purpose", "batch")],
                name: "\(key).jsonl",
                file: requests.descriptor,
                size: size,
                // The key is random, so that it does not occur in what it bounds.
                boundary: "\(key)-boundary",
                within: Self.patience.transfer
            )
        }
        guard let id = Self.id(answer.json) else { throw Self.junk(answer, "a file's id") }
        return UploadedFile(id: id, createdAt: Self.amount(answer.json?["created_at"]))
    }

    package func create(_ file: UploadedFile, key: String, batch: Name) async throws -> SubmissionState {
        let body: JSONValue = [
            "input_file_id": .string(file.id), "endpoint": .string(endpoint), "completion_window": "24h",
            "metadata": [Self.metadata.key: .string(key), Self.metadata.batch: .string(batch.text)],
        ]
        let answer = try await attempt {
            try await service.exchange(
                "POST",
                "/batches",
                body: body,
                headers: [("Idempotency-Key", key)],
                within: Self.patience.exchange
            )
        }
        return try Self.state(answer)
    }

    package func find(key: String, file: UploadedFile) async throws -> [SubmissionState] {
        var found: [SubmissionState] = []
        var seen: Set<String> = []
        var after: String?
        while true {
            let path = "/batches?limit=\(Self.page)" + (after.map { "&after=\($0)" } ?? "")
            let answer = try await attempt { try await service.exchange("GET", path, within: Self.patience.exchange) }
            guard let entries = answer.json?["data"]?.arrayValue ?? answer.json?.arrayValue else {
                throw Self.junk(answer, "a list of batches")
            }
            for entry in entries {
                let isOurs =
                    entry["metadata"]?[Self.metadata.key]?.stringValue.map { $0 == key }
                    ?? (entry["input_file_id"]?.stringValue == file.id)
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
            if newest < file.createdAt - 3_600 { break }
            after = last
        }
        return found.sorted { $0.createdAt < $1.createdAt }
    }

    // MARK: Following

    package func poll(_ id: String) async throws -> SubmissionState {
        try Self.state(
            await attempt { try await service.exchange("GET", "/batches/\(id)", within: Self.patience.exchange) }
        )
    }

    package func cancel(_ id: String) async throws {
        _ = try await attempt {
            try await service.exchange("POST", "/batches/\(id)/cancel", within: Self.patience.exchange)
        }
    }

    package func remove(_ file: UploadedFile) async throws {
        _ = try await attempt {
            try await service.exchange("DELETE", "/files/\(file.id)", within: Self.patience.exchange)
        }
    }

    package func shutDown() async { await flow.shutDown() }

    // MARK: Results

    package func read(_ state: SubmissionState, _ each: (BatchRow) async throws -> Void) async throws -> RowCounts {
        var counts = RowCounts()
        for file in state.files {
            let spool = try SpoolFile()
            _ = try await attempt {
                try await service.download(
                    "/files/\(file)/content",
                    to: spool.descriptor,
                    within: Self.patience.transfer
                )
            }
            try await spool.readLines(atMost: service.maximumOutput + Self.lineOverhead) { line, isTooLong in
                if let row = isTooLong ? tooLong(line) : Self.row(line) {
                    counts.rows += 1
                    try await each(row)
                } else {
                    counts.damaged += 1
                }
            }
        }
        return counts
    }

    package func result(of row: BatchRow, for task: FlowTask) -> Result<FlowOutput, FlowError> {
        switch row.content {
        case .failure(let error): return .failure(error)
        case .notRun: return .failure(FlowError(type: "not-run", message: "the request did not run", isRetryable: true))
        case .answer(let status, let body):
            if let failure = service.failure(of: flow.path, status: status, body: body) { return .failure(failure) }
            do throws(FlowError) {
                return .success(try flow.output(of: body, for: task))
            } catch {
                return .failure(error)
            }
        }
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

    /// Returns the result of a line whose end was left out; nil if its id is not in the part that was read.
    private func tooLong(_ line: [UInt8]) -> BatchRow? {
        let text = String(decoding: line.prefix(Self.lineOverhead), as: UTF8.self)
        guard let match = text.firstMatch(of: /"custom_id"\s*:\s*"([^"\\]+)"/) else { return nil }
        let failure = FlowError(
            type: "output-too-large",
            message: "the answer has more than \(service.maximumOutput) bytes; max_output sets the limit"
        )
        return BatchRow(id: String(match.1), content: .failure(failure))
    }

    // MARK: Answers

    /// Sends a request, and decides what a failure means.
    private func attempt(_ send: () async throws -> ModelAnswer) async throws -> ModelAnswer {
        let answer: ModelAnswer
        do {
            answer = try await send()
        } catch let error as FlowError {
            // Without a connection, nothing can be known; a header that cannot be built is the flow's own mistake.
            throw error.isRetryable ? ProviderFailure.unclear(error) : ProviderFailure.refused(error)
        }
        switch answer.failure {
        case nil: return answer
        case let throttle as FlowThrottle where answer.status == 429: throw ProviderFailure.later(throttle)
        case let throttle as FlowThrottle:
            let error = FlowError(type: "http-\(answer.status)", message: throttle.message, isRetryable: true)
            throw ProviderFailure.unclear(error)
        case let error as FlowError where answer.status == 404: throw ProviderFailure.absent(error)
        case let error as FlowError:
            let detail = answer.json?["error"] ?? .null
            // Azure refuses a submission over the quota with 400.
            let isOverQuota =
                answer.status == 400
                && (detail["code"] == "token_limit_exceeded"
                    || detail["message"]?.stringValue?.contains("token_limit_exceeded") == true)
            if isOverQuota {
                throw ProviderFailure.later(FlowThrottle(delay: answer.retryAfter, message: error.message))
            }
            throw error.isRetryable || answer.status == 409 || answer.status < 400
                ? ProviderFailure.unclear(error) : ProviderFailure.refused(error)
        case let error?: throw error
        }
    }

    /// The error for an answer that has not the expected content.
    private static func junk(_ answer: ModelAnswer, _ expected: String) -> ProviderFailure {
        let found = answer.json == nil ? "with a body that is not JSON" : "without \(expected)"
        return .unclear(
            FlowError(
                type: answer.json == nil ? "output-not-json" : "unexpected-answer",
                message: "\(answer.request) answered \(answer.status) \(found)"
            )
        )
    }

    private static func state(_ answer: ModelAnswer) throws -> SubmissionState {
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

    /// Returns the id of an object; nil if it has none that can be part of a URL and of a memo.
    private static func id(_ json: JSONValue?) -> String? { (json?["id"]?.stringValue).flatMap { isID($0) ? $0 : nil } }

    private static func isID(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "-_.:".utf8.contains(byte)
                }
            }
    }

    /// Reads an amount or a time, which may be any number.
    private static func amount(_ json: JSONValue?) -> Int { min(max(0, json?.intValue ?? 0), 1 << 40) }

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

package import SheafCore
package import SheafFlows

/// The Message Batches API of Anthropic.
///
/// The requests are sent with the creation, and a batch has neither a name nor metadata. So a batch whose creation had
/// no answer is looked for among those that are newer than the newest one before; whether a batch is ours is known
/// by its results, whose ids carry our key.
///
/// The format is that of Anthropic's documentation, <https://platform.claude.com/docs/en/api/creating-message-batches>.
package struct AnthropicBatches: ModelBatches {
    /// The limits of Anthropic, 100,000 requests and 256 MB, of which a tenth is kept free.
    package static let limits = BatchLimits(requests: 90_000, inputs: .max, bytes: 230_000_000)

    package static let path = "/v1/messages/batches"
    /// The most entries of a page of the list.
    private static let page = 100
    /// What is noted if there is no batch before ours.
    private static let none = "none"

    package let limits: BatchLimits
    package let flow: any ModelFlow
    package let hasHandle = false

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - flow: Builds the requests and reads the answers; its service must offer the API.
    ///   - limits: How large a submission can be.
    package init(_ flow: any ModelFlow, limits: BatchLimits = AnthropicBatches.limits) {
        self.flow = flow
        self.limits = limits
    }

    // MARK: Submitting

    package func encode(_ task: FlowTask, id: String) throws(FlowError) -> BatchLine {
        let request = try flow.request(for: task)
        let line: JSONValue = ["custom_id": .string(id), "params": request.body]
        // A batch may ask several models.
        return BatchLine(bytes: line.bytes, model: "", inputs: request.inputs)
    }

    package func prepare(_ requests: BatchRequests, key: String) async throws -> Preparation {
        let newest = try await list(limit: 1, after: nil).entries.first
        return Preparation(id: Self.id(newest) ?? Self.none, createdAt: Self.time(newest?["created_at"]))
    }

    package func create(
        _ preparation: Preparation,
        _ requests: BatchRequests?,
        key: String,
        batch: Name
    ) async throws -> SubmissionState {
        guard let requests else {
            throw ProviderFailure.unclear(FlowError(type: "unclear", message: "the requests are not at hand"))
        }
        let answer = try await attempt {
            try await service.post(
                Self.path,
                "requests",
                lines: requests.spool.descriptor,
                size: requests.size,
                within: Self.patience.transfer
            )
        }
        return try Self.state(answer)
    }

    package func find(_ preparation: Preparation, key: String, requests: Int) async throws -> SubmissionMatches {
        var matches = SubmissionMatches()
        for entry in try await entries(since: preparation) {
            guard let state = Self.state(entry, nil), Self.total(entry) == requests else { continue }
            if state.phase == .running {
                matches.possible.append(state)
                continue
            }
            switch try await owner(of: state) {
            case nil: matches.possible.append(state)
            case key: matches.certain.append(state)
            default: continue
            }
        }
        matches.certain.reverse()
        matches.possible.reverse()
        return matches
    }

    /// Returns the batches that were created after a preparation, the newest first.
    private func entries(since preparation: Preparation) async throws -> [JSONValue] {
        var found: [JSONValue] = []
        var seen: Set<String> = []
        var after: String?
        while true {
            let (entries, hasMore) = try await list(limit: Self.page, after: after)
            for entry in entries {
                // A batch that has been deleted cannot end the search, but an older one can.
                if Self.id(entry) == preparation.id || Self.time(entry["created_at"]) < preparation.createdAt {
                    return found
                }
                found.append(entry)
            }
            guard hasMore, let last = Self.id(entries.last), seen.insert(last).inserted else { return found }
            after = last
        }
    }

    private func list(limit: Int, after: String?) async throws -> (entries: [JSONValue], hasMore: Bool) {
        let path = "\(Self.path)?limit=\(limit)" + (after.map { "&after_id=\($0)" } ?? "")
        let answer = try await attempt { try await service.exchange("GET", path, within: Self.patience.exchange) }
        guard let entries = answer.json?["data"]?.arrayValue else { throw Self.junk(answer, "a list of batches") }
        return (entries, answer.json?["has_more"]?.boolValue != false)
    }

    /// Returns the key that the requests of an ended batch carry, or another text; nil if that is unknown.
    private func owner(of state: SubmissionState) async throws -> String? {
        guard let location = state.files.first else { return nil }
        let spool = try SpoolFile()
        do {
            _ = try await attempt {
                try await service.download(
                    location,
                    to: spool.descriptor,
                    upTo: Self.lineOverhead,
                    within: Self.patience.exchange
                )
            }
        } catch ProviderFailure.absent {
            return nil
        }
        let beginning = try spool.beginning(Self.lineOverhead)
        return Self.requestID(in: beginning).map { SubmissionMemo.key(of: $0) ?? "" }
    }

    // MARK: Cleaning up

    package func remove(_ preparation: Preparation) async throws {}

    // MARK: Results

    package func read(_ state: SubmissionState, _ each: (BatchRow) async throws -> Void) async throws -> RowCounts {
        var counts = RowCounts()
        for location in state.files { try await readLines(of: location, into: &counts, Self.row, each) }
        return counts
    }

    /// Reads a line of results; returns nil if it is none.
    package static func row(_ line: [UInt8]) -> BatchRow? {
        guard let json = try? JSON.parse(line), let id = json["custom_id"]?.stringValue, let result = json["result"],
            let type = result["type"]?.stringValue
        else { return nil }
        switch type {
        case "succeeded": return BatchRow(id: id, content: .answer(status: 200, body: result["message"] ?? .null))
        case "canceled", "expired": return BatchRow(id: id, content: .notRun)
        default: return BatchRow(id: id, content: failure(type, result["error"] ?? .null))
        }
    }

    /// Returns how a request failed, with the status that its error has in a live answer.
    private static func failure(_ type: String, _ envelope: JSONValue) -> BatchRow.Content {
        let error = envelope["error"] ?? envelope
        let status: Int? =
            switch error["type"]?.stringValue {
            case "invalid_request_error": 400
            case "authentication_error": 401
            case "billing_error": 402
            case "permission_error": 403
            case "not_found_error": 404
            case "timeout_error": 408
            case "conflict_error": 409
            case "request_too_large": 413
            case "rate_limit_error": 429
            case "api_error": 500
            case "overloaded_error": 529
            default: nil
            }
        if let status { return .answer(status: status, body: ["error": error]) }
        let kind = error["type"]?.stringValue.map { "\($0): " } ?? ""
        let nothing = type == "errored" ? "no reason is given" : "its result is \(type)"
        let reason = error["message"]?.stringValue ?? nothing
        return .failure(
            FlowError(type: "request-failed", message: "the provider did not answer the request: \(kind)\(reason)")
        )
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
        guard let id = id(json), let status = json["processing_status"]?.stringValue else { return nil }
        var state = SubmissionState(id: id, phase: status.lowercased() == "ended" ? .ended : .running)
        if state.phase == .ended {
            let location = json["results_url"]?.stringValue ?? ""
            state.files = [location.isEmpty ? "\(path)/\(id)/results" : location]
            state.counted = total(json)
        }
        state.createdAt = time(json["created_at"])
        state.retryAfter = retryAfter
        return state
    }

    /// Returns how many requests a batch has; the counts always add up to it.
    private static func total(_ json: JSONValue) -> Int {
        ["processing", "succeeded", "errored", "canceled", "expired"].reduce(0) {
            min($0 + amount(json["request_counts"]?[$1]), 1 << 40)
        }
    }
}

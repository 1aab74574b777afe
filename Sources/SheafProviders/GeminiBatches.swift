import Foundation
package import SheafCore
package import SheafFlows

/// The Batch API of Gemini, with files for requests and results.
///
/// Requests within the creation are not used: the answers to embeddings come back without a key, in another order.
///
/// The format is that of Google's documentation, <https://ai.google.dev/gemini-api/docs/batch-api>.
package struct GeminiBatches: ModelBatches {
    /// The limits of Gemini: 2 GB, of which a tenth is kept free.
    ///
    /// Google names no number of requests; OpenAI's is used.
    package static let limits = BatchLimits(requests: 50_000, inputs: .max, bytes: 1_800_000_000)

    /// The most entries of a page of the list.
    private static let page = 100

    package static let path = "/batches"
    package static let cancelSuffix = ":cancel"

    package let limits: BatchLimits
    package let flow: any ModelFlow

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - flow: Builds the requests and reads the answers; its service must be Gemini's.
    ///   - limits: How large a submission can be.
    package init(_ flow: any ModelFlow, limits: BatchLimits = GeminiBatches.limits) {
        self.flow = flow
        self.limits = limits
    }

    // MARK: Submitting

    package func encode(_ task: FlowTask, id: String) throws(FlowError) -> BatchLine {
        let request = try flow.request(for: task)
        if request.listed != nil {
            throw FlowError(
                type: FlowError.templateType,
                message: "input: a request of Gemini's batch API has one text, not a list; make a record of each text"
            )
        }
        let line: JSONValue = ["key": .string(id), "request": request.body]
        return BatchLine(bytes: line.bytes, model: request.model, inputs: request.inputs)
    }

    package func prepare(_ requests: BatchRequests, key: String) async throws -> Preparation {
        let start = try await attempt {
            try await service.at(path: path(with: "/upload")).exchange(
                "POST",
                "/files",
                body: ["file": ["displayName": .string(key)]],
                headers: [
                    ("X-Goog-Upload-Protocol", "resumable"), ("X-Goog-Upload-Command", "start"),
                    ("X-Goog-Upload-Header-Content-Length", "\(requests.size)"),
                    ("X-Goog-Upload-Header-Content-Type", "application/jsonl"),
                ],
                within: Self.patience.exchange
            )
        }
        // The URL is used on the configured server only, whatever server it names.
        guard let target = start.header("x-goog-upload-url").flatMap({ URLComponents(string: $0) }),
            target.percentEncodedPath.hasPrefix("/")
        else { throw Self.junk(start, "the header X-Goog-Upload-URL") }
        let answer = try await attempt {
            try await service.at(path: "").send(
                "POST",
                target.percentEncodedPath + (target.percentEncodedQuery.map { "?\($0)" } ?? ""),
                file: requests.spool.descriptor,
                size: requests.size,
                headers: [
                    ("X-Goog-Upload-Command", "upload, finalize"), ("X-Goog-Upload-Offset", "0"),
                    ("Content-Type", "application/jsonl"),
                ],
                within: Self.patience.transfer
            )
        }
        guard let file = answer.json?["file"], let name = Self.name(file["name"], "files/") else {
            throw Self.junk(answer, "a file's name")
        }
        return Preparation(id: name, createdAt: Self.time(file["createTime"]), model: requests.model)
    }

    package func create(
        _ preparation: Preparation,
        _ requests: BatchRequests?,
        key: String,
        batch: Name
    ) async throws -> SubmissionState {
        let body: JSONValue = [
            "batch": [
                "displayName": .string("\(key) \(batch.text)"),
                "inputConfig": ["fileName": .string(preparation.id)],
            ]
        ]
        let method = flow.path.replacing(":generateContent", with: ":batchGenerateContent")
            .replacing(":embedContent", with: ":asyncBatchEmbedContent")
        let path: String
        do throws(TemplateError) {
            path = try GeminiChat.filled(method, model: preparation.model)
        } catch {
            throw ProviderFailure.refused(FlowError(type: FlowError.templateType, message: error.description))
        }
        let answer = try await attempt {
            try await service.exchange("POST", path, body: body, within: Self.patience.exchange)
        }
        return try Self.state(answer)
    }

    package func find(_ preparation: Preparation, key: String, requests: Int) async throws -> SubmissionMatches {
        var found: [SubmissionState] = []
        var seen: Set<String> = []
        var token: String?
        while true {
            let path = "\(Self.path)?pageSize=\(Self.page)" + (token.map { "&pageToken=\($0)" } ?? "")
            let answer = try await attempt { try await service.exchange("GET", path, within: Self.patience.exchange) }
            // A list without entries is an empty object.
            guard let list = answer.json, list.objectValue != nil, list["error"] == nil else {
                throw Self.junk(answer, "a list of batches")
            }
            let entries = (list["operations"] ?? list["batches"])?.arrayValue ?? []
            for entry in entries {
                let batch = entry["metadata"] ?? entry
                let isOurs =
                    batch["displayName"]?.stringValue?.hasPrefix("\(key) ") == true
                    || batch["inputConfig"]?["fileName"]?.stringValue == preparation.id
                if isOurs, let state = Self.state(entry), !found.contains(where: { $0.id == state.id }) {
                    found.append(state)
                }
            }
            guard let next = list["nextPageToken"]?.stringValue, !next.isEmpty, seen.insert(next).inserted else {
                break
            }
            // The list seems to begin with the newest, but that is not documented, so it must be seen on the page.
            let times = entries.map { Self.time(($0["metadata"] ?? $0)["createTime"]) }
            if let first = times.first, let last = times.last, last > 0, first > last,
                first < preparation.createdAt - 3_600
            {
                break
            }
            token = next.addingPercentEncoding(withAllowedCharacters: .alphanumerics)
        }
        return SubmissionMatches(certain: found.sorted { $0.createdAt < $1.createdAt })
    }

    // MARK: Cleaning up

    package func remove(_ preparation: Preparation) async throws {
        _ = try await attempt {
            try await service.exchange("DELETE", "/\(preparation.id)", within: Self.patience.exchange)
        }
    }

    /// Returns the path of the API below another one, such as `/upload/v1beta` for `/v1beta`.
    private func path(with prefix: String) -> String {
        let path = service.path
        let version = path.lastIndex(of: "/") ?? path.startIndex
        return path[..<version] + prefix + path[version...]
    }

    // MARK: Results

    package func read(_ state: SubmissionState, _ each: (BatchRow) async throws -> Void) async throws -> RowCounts {
        var counts = RowCounts()
        var files = state.files
        if files.isEmpty, state.counted > 0 {
            // The state may be there before the file is.
            files = try await poll(state.id).files
            if files.isEmpty {
                let message = "batches/\(state.id) has \(state.counted) results, but names no file with them"
                throw ProviderFailure.unclear(FlowError(type: "unexpected-answer", message: message))
            }
        }
        for file in files {
            let location = "\(service.at(path: path(with: "/download")).base)/\(file):download?alt=media"
            try await readLines(of: location, id: "key", into: &counts, Self.row, each)
        }
        return counts
    }

    /// Reads a line of results; returns nil if it is none.
    package static func row(_ line: [UInt8]) -> BatchRow? {
        guard let json = try? JSON.parse(line), let id = json["key"]?.stringValue else { return nil }
        if let response = json["response"], response.objectValue != nil {
            // Some lines of embeddings have an error in the place of the answer.
            if let error = response["error"] { return row(id, error) }
            return BatchRow(id: id, content: .answer(status: 200, body: response))
        }
        return (json["error"] ?? json["status"]).flatMap { row(id, $0) }
    }

    private static func row(_ id: String, _ error: JSONValue) -> BatchRow? {
        guard error.objectValue != nil else { return nil }
        let code = error["code"]?.intValue ?? 2
        // It was cancelled, which says nothing about the request.
        if code == 1 { return BatchRow(id: id, content: .notRun) }
        return BatchRow(id: id, content: .answer(status: GoogleCode.status(code), body: ["error": error]))
    }

    // MARK: Answers

    package static func state(_ answer: ModelAnswer) throws -> SubmissionState {
        guard var state = answer.json.flatMap({ state($0) }) else { throw junk(answer, "a batch's name and state") }
        state.retryAfter = answer.retryAfter
        return state
    }

    /// Reads a batch, which is an operation or the batch itself; returns nil if it has no name or state.
    package static func state(_ json: JSONValue) -> SubmissionState? {
        let batch = json["metadata"] ?? json
        guard let name = name(json["name"] ?? batch["name"], "batches/"), let word = batch["state"]?.stringValue else {
            return nil
        }
        // Some say BATCH_STATE_SUCCEEDED, some JOB_STATE_SUCCEEDED.
        let phrase = word.uppercased().split(separator: "STATE_", maxSplits: 1).last.map(String.init) ?? ""
        var state = SubmissionState(
            id: String(name.dropFirst("batches/".count)),
            phase: googlePhase(phrase, json["error"] ?? batch["error"])
        )
        let files = [batch["output"]?["responsesFile"], json["response"]?["responsesFile"]]
            .compactMap { self.name($0, "files/") }
        state.files = files.count == 2 && files[0] == files[1] ? [files[0]] : files
        let stats = batch["batchStats"]
        let counted = googleCount(stats?["successfulRequestCount"]) + googleCount(stats?["failedRequestCount"])
        // What has expired or was cancelled may have no file.
        state.counted = state.files.isEmpty && !phrase.hasSuffix("SUCCEEDED") ? 0 : counted
        state.createdAt = time(batch["createTime"])
        return state
    }

    /// Returns a name such as `files/abc`; nil if it has another beginning, or cannot be part of a URL.
    private static func name(_ json: JSONValue?, _ beginning: String) -> String? {
        guard let name = json?.stringValue, name.hasPrefix(beginning), isID(String(name.dropFirst(beginning.count)))
        else { return nil }
        return name
    }
}

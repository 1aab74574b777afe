import Foundation
package import SheafCore
package import SheafFlows

/// The batch prediction jobs of Vertex AI, with files in Cloud Storage.
///
/// The format is that of Google's documentation,
/// <https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage>.
package struct VertexBatches: CloudBatches {
    /// The limits of Vertex AI, 200,000 requests and 1 GB, of which a tenth is kept free.
    package static let limits = BatchLimits(requests: 180_000, inputs: .max, bytes: 900_000_000)

    /// The most entries of a page of a list.
    private static let page = 100

    package static let path = "/batchPredictionJobs"
    package static let cancelSuffix = ":cancel"
    static let storageName = "storage"

    package let limits: BatchLimits
    package let flow: any ModelFlow

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - flow: Builds the requests and reads the answers; its service must be Vertex AI's.
    ///   - limits: How large a submission can be.
    package init(_ flow: any ModelFlow, limits: BatchLimits = VertexBatches.limits) {
        self.flow = flow
        self.limits = limits
    }

    // MARK: Submitting

    package func encode(_ task: FlowTask, id: String) throws(FlowError) -> BatchLine {
        let request = try flow.request(for: task)
        let line: JSONValue = ["custom_id": .string(id), "request": request.body]
        if let problem = VertexImport.problem(of: line, id: id) {
            throw FlowError(
                type: FlowError.templateType,
                message: "\(problem); Vertex AI would refuse the whole submission because of it"
            )
        }
        return BatchLine(bytes: line.bytes, model: request.model, inputs: request.inputs)
    }

    package func prepare(_ requests: BatchRequests, key: String) async throws -> Preparation {
        let (folder, store) = (try folders().requests, try storage())
        let name = "\(self.folder(key, in: folder))\(Self.requestsName)"
        let bucket = PercentEncoding.encode(folder.bucket)
        let answer = try await attempt {
            try await store.send(
                "POST",
                "/upload/storage/v1/b/\(bucket)/o?uploadType=media&name=\(PercentEncoding.encode(name))",
                file: requests.spool.descriptor,
                size: requests.size,
                headers: [("Content-Type", "application/jsonl")],
                within: Self.patience.transfer
            )
        }
        guard let size = answer.json?["size"]?.stringValue.flatMap({ Int($0) }) else {
            throw Self.junk(answer, "an object's size")
        }
        if size != requests.size {
            let message = "\(answer.request) has stored \(size) of \(requests.size) bytes"
            throw ProviderFailure.unclear(FlowError(type: "unexpected-answer", message: message))
        }
        return Preparation(
            id: "gs://\(folder.bucket)/\(name)",
            createdAt: Self.time(answer.json?["timeCreated"]),
            model: requests.model
        )
    }

    package func create(
        _ preparation: Preparation,
        _ requests: BatchRequests?,
        key: String,
        batch: Name
    ) async throws -> SubmissionState {
        let model: String
        do throws(TemplateError) {
            model = try VertexChat.resource(preparation.model)
        } catch {
            throw ProviderFailure.refused(FlowError(type: FlowError.templateType, message: error.description))
        }
        let body: JSONValue = [
            "displayName": .string("\(key) \(batch.text)"), "model": .string(model),
            "inputConfig": ["instancesFormat": "jsonl", "gcsSource": ["uris": [.string(preparation.id)]]],
            "outputConfig": [
                "predictionsFormat": "jsonl",
                "gcsDestination": ["outputUriPrefix": .string(try folders().results.uri("\(key)/results"))],
            ],
        ]
        let answer = try await attempt {
            try await service.exchange("POST", Self.path, body: body, within: Self.patience.exchange)
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
                throw Self.junk(answer, "a list of jobs")
            }
            let entries = list["batchPredictionJobs"]?.arrayValue ?? []
            for entry in entries {
                let isOurs =
                    entry["displayName"]?.stringValue?.hasPrefix("\(key) ") == true
                    || entry["inputConfig"]?["gcsSource"]?["uris"]?.arrayValue?.contains(.string(preparation.id))
                        == true
                if isOurs, let state = Self.state(entry), !found.contains(where: { $0.id == state.id }) {
                    found.append(state)
                }
            }
            guard let next = list["nextPageToken"]?.stringValue, !next.isEmpty, seen.insert(next).inserted else {
                break
            }
            // The list seems to begin with the newest, but that is not documented, so it must be seen on the page.
            let times = entries.map { Self.time($0["createTime"]) }
            if let first = times.first, let last = times.last, last > 0, first > last,
                first < preparation.createdAt - 3_600
            {
                break
            }
            token = PercentEncoding.encode(next)
        }
        return SubmissionMatches(certain: found.sorted { $0.createdAt < $1.createdAt })
    }

    func path(ofObject name: String, in bucket: String) -> String {
        "/storage/v1/b/\(PercentEncoding.encode(bucket))/o/\(PercentEncoding.encode(name))"
    }

    // MARK: Results

    package func read(_ state: SubmissionState, _ each: (BatchRow) async throws -> Void) async throws -> RowCounts {
        var counts = RowCounts()
        let store = try storage()
        var files = state.files
        if files.isEmpty, state.counted > 0 {
            // The state may be there before the folder is.
            files = try await poll(state.id).files
            if files.isEmpty {
                let message = "job \(state.id) has \(state.counted) results, but names no folder with them"
                throw ProviderFailure.unclear(FlowError(type: "unexpected-answer", message: message))
            }
        }
        for directory in files {
            guard let object = Self.object("\(directory)/", "gs") else { continue }
            let shards = try await shards(object.bucket, object.name, store)
            if shards.isEmpty, state.counted > 0 {
                let message = "job \(state.id) has \(state.counted) results, but \(directory) has no file with them"
                throw ProviderFailure.unclear(FlowError(type: "unexpected-answer", message: message))
            }
            for name in shards {
                try await readLines(
                    of: "\(path(ofObject: name, in: object.bucket))?alt=media",
                    from: store,
                    overhead: Self.rowOverhead,
                    into: &counts,
                    { line in Self.row(line).map { checked($0, line) } },
                    each
                )
            }
        }
        return counts
    }

    /// Returns the names of the files with results below a folder.
    private func shards(_ bucket: String, _ prefix: String, _ store: ModelService) async throws -> [String] {
        var names: [String] = []
        var seen: Set<String> = []
        var token = ""
        while true {
            let list = "/storage/v1/b/\(PercentEncoding.encode(bucket))/o"
            let path = "\(list)?prefix=\(PercentEncoding.encode(prefix))\(token)"
            let answer = try await attempt { try await store.exchange("GET", path, within: Self.patience.exchange) }
            guard let list = answer.json, list.objectValue != nil, list["error"] == nil else {
                throw Self.junk(answer, "a list of objects")
            }
            for item in list["items"]?.arrayValue ?? [] {
                if let name = item["name"]?.stringValue, name.hasSuffix(".jsonl"), item["size"] != "0" {
                    names.append(name)
                }
            }
            guard let next = list["nextPageToken"]?.stringValue, !next.isEmpty, seen.insert(next).inserted else {
                return names
            }
            token = "&pageToken=\(PercentEncoding.encode(next))"
        }
    }

    /// Reads a line of results; returns nil if it is none.
    package static func row(_ line: [UInt8]) -> BatchRow? {
        guard let json = try? JSON.parse(line), let id = json["custom_id"]?.stringValue else { return nil }
        if let status = json["status"], let text = status.stringValue ?? status["message"]?.stringValue, !text.isEmpty {
            return BatchRow(id: id, content: failure(text))
        }
        guard let response = json["response"], response.objectValue != nil, response != [:] else { return nil }
        return BatchRow(id: id, content: .answer(status: 200, body: response))
    }

    /// Reads the reason of a failed request: words, and in most cases the body of the answer that it got.
    private static func failure(_ text: String) -> BatchRow.Content {
        if let start = text.firstIndex(of: "{"), let body = try? JSON.parse(Array(text[start...].utf8)),
            case let error = body["error"] ?? body, let code = error["code"]?.intValue
        {
            if code == 1 || code == 499 { return .notRun }
            return .answer(status: GoogleCode.status(code), body: ["error": error])
        }
        let words = text.lowercased()
        if words.contains("cancel") { return .notRun }
        let mayPass = ["internal", "unavailable", "exhausted", "capacity", "timeout", "deadline", "quota", "try again"]
        return .failure(
            FlowError(
                type: "request-failed",
                message: "the provider did not answer the request: \(text)",
                isRetryable: mayPass.contains { words.contains($0) }
            )
        )
    }

    // MARK: Answers

    package static func state(_ answer: ModelAnswer) throws -> SubmissionState {
        guard var state = answer.json.flatMap({ state($0) }) else { throw junk(answer, "a job's name and state") }
        state.retryAfter = answer.retryAfter
        return state
    }

    /// Reads a job; returns nil if it has no name or state.
    package static func state(_ json: JSONValue) -> SubmissionState? {
        guard let name = json["name"]?.stringValue, let word = json["state"]?.stringValue,
            let match = name.wholeMatch(of: /projects\/[^\/]+\/locations\/[^\/]+\/batchPredictionJobs\/([^\/]+)/),
            isID(String(match.1))
        else { return nil }
        let phrase = word.uppercased().split(separator: "STATE_", maxSplits: 1).last.map(String.init) ?? ""
        var state = SubmissionState(id: String(match.1), phase: googlePhase(phrase, json["error"]))
        if state.phase != .running {
            let directory = json["outputInfo"]?["gcsOutputDirectory"]?.stringValue
            state.files = directory.flatMap { object("\($0)/", "gs") == nil ? nil : [$0] } ?? []
        }
        let stats = json["completionStats"]
        let counted = googleCount(stats?["successfulCount"]) + googleCount(stats?["failedCount"])
        // What has failed, expired or was cancelled may have no file.
        let hasSucceeded = phrase.hasSuffix("SUCCEEDED")
        state.counted = state.files.isEmpty && !hasSucceeded ? 0 : max(counted, hasSucceeded ? 1 : 0)
        state.createdAt = time(json["createTime"])
        return state
    }
}

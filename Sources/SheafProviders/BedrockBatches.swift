import OrderedCollections
package import SheafCore
package import SheafFlows

/// The batch inference jobs of Amazon Bedrock, with files in S3.
///
/// A job is created with a token of ours, so that a second creation has no effect.
///
/// The format is that of AWS's documentation,
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-data.html>.
package struct BedrockBatches: CloudBatches {
    /// The limits of Bedrock: 50,000 requests, which is the smallest quota of a model, and 1 GB, of which a tenth is
    /// kept free.
    package static let limits = BatchLimits(requests: 45_000, inputs: .max, bytes: 900_000_000)

    /// The most entries of a page of the list.
    private static let page = 100

    package static let path = "/model-invocation-job"
    package static let cancelSuffix = "/stop"
    static let storageName = "s3"

    package let limits: BatchLimits
    package let flow: any ModelFlow

    /// Makes a client.
    ///
    /// - Parameters:
    ///   - flow: Builds the requests and reads the answers; its service must be Bedrock's.
    ///   - limits: How large a submission can be.
    package init(_ flow: any ModelFlow, limits: BatchLimits = BedrockBatches.limits) {
        self.flow = flow
        self.limits = limits
    }

    /// The service that has the jobs, at another host than the one that runs live requests.
    private func jobs() throws -> ModelService { try service.at(url: folders().cloud.jobsURL, named: "bedrock") }

    // MARK: Submitting

    package func encode(_ task: FlowTask, id: String) throws(FlowError) -> BatchLine {
        let request = try flow.request(for: task)
        if request.body["toolConfig"] != nil {
            throw FlowError(
                type: FlowError.templateType,
                message: "options.tools: Bedrock runs requests with tools in bulk only for models of Anthropic"
            )
        }
        let line: JSONValue = ["recordId": .string(id), "modelInput": request.body]
        return BatchLine(bytes: line.bytes, model: request.model, inputs: request.inputs)
    }

    package func prepare(_ requests: BatchRequests, key: String) async throws -> Preparation {
        let (cloud, folder, _) = try folders()
        if requests.count < cloud.minimumRecords {
            let message = """
                the submission has \(requests.count) requests, and Bedrock accepts no job with fewer than \
                \(cloud.minimumRecords); run these tasks without bulk, or set minimum_records to the quota of your account
                """
            throw ProviderFailure.refused(FlowError(type: "submission-too-small", message: message))
        }
        let store = try storage()
        let name = "\(self.folder(key, in: folder))\(Self.requestsName)"
        let answer = try await attempt {
            try await store.send(
                "PUT",
                path(ofObject: name, in: folder.bucket),
                file: requests.spool.descriptor,
                size: requests.size,
                headers: [("Content-Type", "application/jsonl")],
                within: Self.patience.transfer
            )
        }
        // S3 answers without a body; the signature has covered the content.
        guard answer.header("etag") != nil else { throw Self.junk(answer, "the header ETag") }
        return Preparation(id: "s3://\(folder.bucket)/\(name)", createdAt: 0, model: requests.model)
    }

    package func create(
        _ preparation: Preparation,
        _ requests: BatchRequests?,
        key: String,
        batch: Name
    ) async throws -> SubmissionState {
        let (cloud, _, results) = try folders()
        let output = results.uri("\(key)/results/")
        let body: JSONValue = [
            "jobName": .string(key), "clientRequestToken": .string(key), "roleArn": .string(cloud.role),
            "modelId": .string(preparation.model),
            "modelInvocationType": BedrockChat.isClaude(preparation.model) ? "InvokeModel" : "Converse",
            "inputDataConfig": [
                "s3InputDataConfig": ["s3InputFormat": "JSONL", "s3Uri": .string(preparation.id)]
            ],
            "outputDataConfig": ["s3OutputDataConfig": ["s3Uri": .string(output)]],
        ]
        let jobs = try jobs()
        let answer = try await attempt {
            try await jobs.exchange("POST", Self.path, body: body, within: Self.patience.exchange)
        }
        guard let id = Self.jobID(answer.json) else { throw Self.junk(answer, "a job's ARN") }
        return SubmissionState(id: id, phase: .running)
    }

    package func find(_ preparation: Preparation, key: String, requests: Int) async throws -> SubmissionMatches {
        var found: [SubmissionState] = []
        var seen: Set<String> = []
        var token = ""
        let jobs = try jobs()
        while true {
            // A job that the filter missed would not be created again either: its creation has the same token.
            let filter = "maxResults=\(Self.page)&nameContains=\(PercentEncoding.encode(key))"
            let path = "/model-invocation-jobs?\(filter)\(token)"
            let answer = try await attempt { try await jobs.exchange("GET", path, within: Self.patience.exchange) }
            guard let list = answer.json, let entries = list["invocationJobSummaries"]?.arrayValue else {
                throw Self.junk(answer, "a list of jobs")
            }
            for entry in entries {
                let input = entry["inputDataConfig"]?["s3InputDataConfig"]?["s3Uri"]?.stringValue
                let isOurs = entry["clientRequestToken"]?.stringValue == key || input == preparation.id
                if isOurs, let state = Self.state(entry), !found.contains(where: { $0.id == state.id }) {
                    found.append(state)
                }
            }
            guard let next = list["nextToken"]?.stringValue, !next.isEmpty, seen.insert(next).inserted else { break }
            token = "&nextToken=\(PercentEncoding.encode(next))"
        }
        return SubmissionMatches(certain: found.sorted { $0.createdAt < $1.createdAt })
    }

    // MARK: Following

    package func poll(_ id: String) async throws -> SubmissionState {
        let jobs = try jobs()
        let answer = try await attempt {
            try await jobs.exchange("GET", "\(Self.path)/\(id)", within: Self.patience.exchange)
        }
        var state = try Self.state(answer)
        if state.phase != .running, answer.json?["processedRecordCount"] == nil, let file = state.files.first {
            state.counted = max(state.counted, try await processed(besides: file))
        }
        return state
    }

    package func cancel(_ id: String) async throws {
        let jobs = try jobs()
        _ = try await attempt {
            try await jobs.exchange("POST", "\(Self.path)/\(id)\(Self.cancelSuffix)", within: Self.patience.exchange)
        }
    }

    /// Returns how many requests have a result by the manifest in the folder of a file; 0 if there is no manifest.
    private func processed(besides file: String) async throws -> Int {
        guard let object = Self.object(file, "s3") else { return 0 }
        let store = try storage()
        let name = object.name.prefix(through: object.name.lastIndex(of: "/") ?? object.name.startIndex)
        do {
            let answer = try await attempt {
                try await store.exchange(
                    "GET",
                    path(ofObject: "\(name)manifest.json.out", in: object.bucket),
                    within: Self.patience.exchange
                )
            }
            return Self.amount(answer.json?["processedRecordCount"])
        } catch ProviderFailure.absent {
            return 0
        }
    }

    func path(ofObject name: String, in bucket: String) -> String {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return "/\(bucket)/\(parts.map { PercentEncoding.encode(String($0)) }.joined(separator: "/"))"
    }

    // MARK: Results

    package func read(_ state: SubmissionState, _ each: (BatchRow) async throws -> Void) async throws -> RowCounts {
        var counts = RowCounts()
        let store = try storage()
        for file in state.files {
            guard let object = Self.object(file, "s3") else { continue }
            do {
                try await readLines(
                    of: path(ofObject: object.name, in: object.bucket),
                    id: "recordId",
                    from: store,
                    overhead: Self.rowOverhead,
                    into: &counts,
                    { line in Self.row(line).map { checked($0, line) } },
                    each
                )
            } catch ProviderFailure.absent where state.counted == 0 {
                // It ended before it had results.
            }
        }
        return counts
    }

    /// Reads a line of results; returns nil if it is none.
    package static func row(_ line: [UInt8]) -> BatchRow? {
        guard let json = try? JSON.parse(line), let id = json["recordId"]?.stringValue else { return nil }
        if let output = json["modelOutput"], output.objectValue != nil {
            return BatchRow(id: id, content: .answer(status: 200, body: output))
        }
        guard let error = json["error"], error.objectValue != nil else { return nil }
        let message = error["errorMessage"]?.stringValue ?? "no reason is given"
        let code = error["errorCode"]?.intValue ?? error["errorCode"]?.stringValue.flatMap { Int($0) }
        if let code, (400..<600).contains(code) {
            return BatchRow(id: id, content: .answer(status: code, body: ["message": .string(message)]))
        }
        let word = error["errorCode"]?.stringValue.map { "\($0): " } ?? ""
        let failure = FlowError(
            type: "request-failed",
            message: "the provider did not answer the request: \(word)\(message)"
        )
        return BatchRow(id: id, content: .failure(failure))
    }

    // MARK: Answers

    package static func state(_ answer: ModelAnswer) throws -> SubmissionState {
        guard var state = answer.json.flatMap({ state($0) }) else { throw junk(answer, "a job's ARN and status") }
        state.retryAfter = answer.retryAfter
        return state
    }

    /// Reads a job; returns nil if it has no ARN or status.
    package static func state(_ json: JSONValue) -> SubmissionState? {
        guard let id = jobID(json), let status = json["status"]?.stringValue else { return nil }
        var state = SubmissionState(id: id, phase: phase(status.lowercased(), json["message"]?.stringValue))
        state.createdAt = time(json["submitTime"])
        state.counted = amount(json["processedRecordCount"])
        if state.phase == .running { return state }
        if let folder = json["outputDataConfig"]?["s3OutputDataConfig"]?["s3Uri"]?.stringValue,
            let name = json["inputDataConfig"]?["s3InputDataConfig"]?["s3Uri"]?.stringValue?.split(separator: "/").last
        {
            state.files = ["\(folder.hasSuffix("/") ? folder : "\(folder)/")\(id)/\(name).out"]
        }
        // Such a job has results, even if it does not count them.
        if status.lowercased().hasSuffix("completed") { state.counted = max(1, state.counted) }
        return state
    }

    private static func phase(_ status: String, _ message: String?) -> SubmissionState.Phase {
        switch status {
        case "completed", "partiallycompleted", "expired", "stopped": .ended
        case "failed": .refused(message ?? "no reason is given")
        default: .running
        }
    }

    /// Returns the id at the end of a job's ARN; nil if there is none.
    private static func jobID(_ json: JSONValue?) -> String? {
        guard let arn = json?["jobArn"]?.stringValue, let id = arn.split(separator: "/").last.map(String.init),
            arn.contains("/"), isID(id)
        else { return nil }
        return id
    }
}

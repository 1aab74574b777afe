import HTTPTypes
import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings
import SheafSources
import SheafTelemetry

/// The route that creates batches.
struct CreateRoutes: Sendable {
    let client: SheafClient
    let directory: BatchDirectory
    let flows: [FlowSettings]
    let traces: BatchTraces

    func register(on group: RouterGroup<ServerContext>) {
        group.post("batches") { request, context in
            try context.require(.write)
            let key = try IdempotencyKey(request.headers)
            let submission = try await Submission.read(request) { options in
                _ = try flow(of: options)
                if key != nil, options.choices.batchID != nil {
                    throw CreationOptions.refusal("batch_id", "it cannot be combined with an Idempotency-Key")
                }
            }
            return try await create(submission, key?.batch, in: request.trace, prefix: context.prefix)
        }
    }

    private func create(
        _ submission: Submission,
        _ id: Name?,
        in trace: TraceContext?,
        prefix: String
    ) async throws -> Response {
        let creation = BatchSubmission(
            client: client,
            submission: submission,
            request: try request(of: submission, id),
            isKeyed: id != nil,
            traces: traces,
            parent: trace
        )
        if submission.options.isDryRun {
            return .json(try await creation.preview(flow(of: submission.options).pricing).json)
        }
        guard let id else { return try await response(creation.publish(), prefix: prefix) }
        let done = try await creation.publishOnce(as: id)
        return try await response(
            done.batch,
            status: done.isNews ? .created : .ok,
            isReplay: done.isRepeat,
            prefix: prefix
        )
    }

    /// Finds the flow; the error lists the known flows.
    private func flow(of options: CreationOptions) throws -> FlowSettings {
        if let flow = flows.first(where: { $0.name.text == options.flow }) { return flow }
        let names = flows.map(\.name.text)
        let shown = String(options.flow.prefix(80))
        let known = names.isEmpty ? "none" : names.joined(separator: ", ")
        throw CreationOptions.refusal(
            "flow",
            "unknown flow '\(shown)'; the server's flows: \(known)\(Suggestion.text(for: shown, among: names))"
        )
    }

    /// Combines what was sent and what the configuration says.
    private func request(of submission: Submission, _ id: Name?) throws -> BatchRequest {
        let options = submission.options
        let flow = try flow(of: options)
        var choices = options.choices
        choices.batchID = id ?? choices.batchID
        if submission.records == nil {
            if flow.source.isEmpty || flow.source.contains("-") {
                throw CreationOptions.refusal(
                    "records",
                    "they are missing, and flow '\(flow.name)' has no source that the server can read; send 'records', "
                        + "or upload a file"
                )
            }
        } else {
            if options.readsSource {
                throw CreationOptions.refusal("source", "it cannot be combined with records of the request")
            }
            choices.inputs = ["-"]
            choices.format = choices.format ?? submission.format
            if choices.format == nil, flow.format == nil || flow.format == SourceFormat.files.rawValue {
                throw CreationOptions.refusal(
                    "format",
                    "it is missing, and neither the type nor the name of the upload tells how it is split into records"
                )
            }
        }
        do {
            return try BatchRequest(flow, choices)
        } catch let error as ParameterError {
            throw CreationOptions.refusal("parameters", error.description)
        }
    }

    private func response(
        _ batch: CreatedBatch,
        status: HTTPResponse.Status = .created,
        isReplay: Bool = false,
        prefix: String
    ) async throws -> Response {
        var headers: HTTPFields = [.location: "\(prefix)/api/batches/\(batch.id)"]
        if isReplay, let name = HTTPField.Name("Idempotency-Replayed") { headers[name] = "true" }
        let summary = try await summary(of: batch.id)
        return .json(batch.json(with: summary.json, skipped: nil), status: status, headers: headers)
    }

    /// Waits until this server's live view has the batch, so that a request for it that follows finds it.
    private func summary(of batch: Name) async throws -> BatchSummary {
        do {
            return try await withTimeLimit(.seconds(5), "") {
                for await _ in directory.changes() {
                    if let summary = try? directory.summary(of: batch.text), summary.isSealed { return summary }
                }
                throw CancellationError()
            }
        } catch {
            return try await client.batch(batch.text)
        }
    }
}

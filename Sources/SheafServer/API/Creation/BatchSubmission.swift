import HTTPTypes
import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings
import SheafSources
import SheafTelemetry

/// Publishes the batch of one request.
struct BatchSubmission: Sendable {
    let client: SheafClient
    let submission: Submission
    let request: BatchRequest
    /// Whether the request has a key, so that its digest is recorded.
    let isKeyed: Bool
    /// What records the publishing of tasks in traces.
    let traces: BatchTraces
    /// The place in a trace that the client has sent.
    let parent: TraceContext?

    /// What ``publishOnce(as:)`` has done.
    struct Once: Sendable {
        /// The batch.
        var batch: CreatedBatch
        /// Whether tasks were published now.
        var isNews: Bool
        /// Whether an earlier request began the batch.
        var isRepeat: Bool
    }

    /// Reads the records without publishing anything.
    func preview(_ pricing: FlowPricing?) async throws -> BatchPreview {
        try await BatchPreview.read(open(request.source), request: request, pricing: pricing)
    }

    /// Publishes a batch; returns when every task is confirmed.
    func publish() async throws -> CreatedBatch {
        let source = try await open(request.source)
        if request.isStrict { try await StrictCheck().run(source) }
        var plan = request.plan(source.fingerprint, stream: submission.name)
        if isKeyed { plan.input?.request = submission.digest }
        plan.trace = parent
        return try await traces.recording(plan) { plan in try await client.create(plan, from: source.chunks()) }
    }

    /// Publishes the batch with that id, or what an earlier request with the same key left unpublished.
    ///
    /// - Throws: `HTTPError` with 422 if the earlier request was a different one, and with 409 if it is still being
    ///   carried out; the errors of creating.
    func publishOnce(as id: Name) async throws -> Once {
        // Another server may create the batch, or be killed, between the look and the creation.
        for _ in 0..<3 {
            if let found = try await find(id) { return try await takeOver(found) }
            do {
                return Once(batch: try await publish(), isNews: true, isRepeat: false)
            } catch let error as SheafError where error.code == .alreadyExists {
                if try await find(id) != nil { continue }
                if error.advice == .chooseAnotherID { throw error }  // the batch was deleted
                throw Self.busy
            }
        }
        throw Self.busy
    }

    private func takeOver(_ found: BatchInfo) async throws -> Once {
        guard let input = found.batchInput, input.request == submission.digest else {
            throw HTTPError(
                .unprocessableContent,
                message: "a request with the same Idempotency-Key but another content has created batch '\(found.id)'; "
                    + "send another key"
            )
        }
        if let total = found.sealedTotal ?? (found.isOver ? found.published : nil) {
            let batch = CreatedBatch(id: found.id, flow: found.flow, total: total)
            return Once(batch: batch, isNews: false, isRepeat: true)
        }
        let source = try await open(input.source ?? request.source)
        // A flow's own source may have changed since; records of a request are the same, because its digest is.
        if submission.records == nil, let before = input.fingerprint,
            let change = source.fingerprint.changes(since: before).first
        {
            throw Problem(
                .badData,
                "cannot publish the rest of batch '\(found.id)': its input has changed since: \(change)"
            )
        }
        do {
            let batch = try await traces.recordingRest(of: found, after: parent) { trace in
                try await client.resume(found.id, publishTimeout: request.publishTimeout, trace: trace) { position in
                    source.chunks(from: position)
                }
            }
            return Once(batch: batch, isNews: true, isRepeat: true)
        } catch let error as SheafError where error.code == .alreadyExists {
            throw Self.busy
        }
    }

    private func find(_ id: Name) async throws -> BatchInfo? { try await Journal.read(from: client)[id] }

    private func open(_ configuration: SourceConfiguration) async throws -> RecordSource {
        guard let records = submission.records else { return try await RecordSource.open(configuration) }
        return try await RecordSource.open(configuration, spooled: records)
    }

    private static let busy = HTTPError(
        .conflict,
        headers: [.retryAfter: "2"],
        message: "an earlier request with the same Idempotency-Key is still being carried out; try again"
    )
}

extension BatchInfo {
    /// Whether nothing more of the batch may be published.
    fileprivate var isOver: Bool { cancelled != nil || ending != nil }
}

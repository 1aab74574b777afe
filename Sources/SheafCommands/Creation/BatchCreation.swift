import OrderedCollections
import Sheaf
import SheafCore
import SheafFormats
import SheafSettings
import SheafSources
import SheafTelemetry

/// Publishes a batch and reports progress and the result.
struct BatchCreation: Sendable {
    let client: SheafClient
    let session: Session

    private var console: Console { session.console }

    /// The result of a creation.
    struct Report: Sendable {
        /// The batch.
        let batch: CreatedBatch
        /// How many records were left out because they had succeeded before; nil if that was not asked for.
        var skipped: Int?
    }

    /// Publishes; returns when every task is confirmed.
    func run(_ request: BatchRequest, source: RecordSource, skip: BatchInput.Skip? = nil) async throws -> Report {
        let plan = request.plan(source.fingerprint, skip: skip)
        let total = source.count.map { $0 * request.variants.variants.count }
        let created = try await run(plan, source: source, total: total)
        let skipped = skip == nil ? nil : await source.skipped
        report(created, pilot: plan.options.pilot, skipped: skipped, of: skip)
        return Report(batch: created, skipped: skipped)
    }

    /// Publishes a batch as it is planned; returns when every task is confirmed.
    func run(_ plan: BatchPlan, source: RecordSource, total: Int?) async throws -> CreatedBatch {
        try await showingProgress(total: total, readsStream: source.readsStandardInput) { events in
            var plan = plan
            plan.trace = session.traceParent
            return try await session.tracingBatches { traces in
                try await traces.recording(plan) { plan in
                    try await client.create(plan, from: source.chunks(), events: events)
                }
            }
        }
    }

    /// Publishes and shows the progress; prints how to continue if publishing fails.
    func showingProgress(
        total: Int?,
        readsStream: Bool,
        _ publish: (CreationEvents) async throws -> CreatedBatch
    ) async throws -> CreatedBatch {
        let id = Latest<Name>()
        let display = ProgressDisplay(console: console)
        let events = CreationEvents(
            onCreated: { id.note($0) },
            onConfirmed: { display.show(ProgressSample(title: "publishing", done: $0, total: total)) },
            onStall: { report($0) }
        )
        do {
            defer { display.end() }
            return try await publish(events)
        } catch {
            if let id = id.value, let advice = Self.advice(id, after: error, readsStream: readsStream) {
                console.complain("sheaf: batch \(id) was not published in full; \(advice)")
            }
            throw error
        }
    }

    /// Returns what can be done about a batch that was not published in full, or nil if nothing.
    private static func advice(_ id: Name, after error: any Error, readsStream: Bool) -> String? {
        if let error = error as? SheafError {
            if error.code == .cancelled { return nil }
            if error.code == .alreadyExists { return "'sheaf status \(id)' shows its state" }
        }
        let resume = "'sheaf create --resume \(id)\(readsStream ? " -" : "")'"
        let how =
            readsStream
            ? "\(resume) publishes the rest if the same records are piped in again" : "\(resume) publishes the rest"
        return "\(how), 'sheaf cancel \(id)' drops what was published"
    }

    private func report(_ stall: PublishingStall?) {
        guard let stall else { return console.complain("sheaf: the broker accepts messages again; continuing") }
        console.complain("sheaf: \(stall.reason); waiting up to \(Wording.duration(stall.patience))")
    }

    func report(
        _ created: CreatedBatch,
        pilot: Pilot? = nil,
        skipped: Int? = nil,
        of skip: BatchInput.Skip? = nil
    ) {
        console.say("created batch \(created.id) of \(created.flow): \(Wording.count(created.total, "task"))")
        if let text = Wording.startOfPilot(pilot, of: created) { console.say(text) }
        if let text = Wording.twins(created.twins, of: created.total) { console.say("twins: \(text)") }
        if let skipped, let skip {
            console.say("left out \(Wording.count(skipped, "record")) that succeeded in batch \(skip.batch)")
        }
        if created.invalid > 0 {
            console.say(
                "\(Wording.count(created.invalid, "task")) already failed because the record could not be read; "
                    + "'sheaf results \(created.id) --status failed' shows where"
            )
        }
        console.say(
            Wording.nextSteps(for: created.id, of: created.flow, isExternal: session.isExternal(created.flow))
        )
    }
}

/// Publishes the rest of a batch whose creation was interrupted, with the options that the journal records.
struct BatchResumption: Sendable {
    let session: Session
    let client: SheafClient
    let reference: String

    /// Publishes; returns when every task is confirmed.
    func run(input: InputOptions, publishing: PublishingOptions) async throws -> BatchCreation.Report {
        let info = try await client.infoToResume(reference)
        if let total = info.sealedTotal {
            session.console.say(
                "batch \(info.id) was published in full (\(Wording.count(total, "task"))); there is nothing to resume"
            )
            return BatchCreation.Report(batch: CreatedBatch(id: info.id, flow: info.flow, total: total))
        }
        let recorded = try RecordedInput(of: info, client: client, command: "sheaf create --resume \(info.id)")
        let source = try await recorded.open(input, publishing)
        if recorded.known.isStrict { try await StrictCheck().run(source) }
        return try await publish(info, source, recorded, publishing)
    }

    private func publish(
        _ info: BatchInfo,
        _ source: RecordSource,
        _ recorded: RecordedInput,
        _ publishing: PublishingOptions
    ) async throws -> BatchCreation.Report {
        let flow = session.settings.flows[info.flow]
        let timeout =
            publishing.publishTimeout?.duration ?? flow?.batch.publishTimeout ?? BatchRequest.defaultPublishTimeout
        let creation = BatchCreation(client: client, session: session)
        let created = try await creation.showingProgress(total: nil, readsStream: source.readsStandardInput) { events in
            try await session.tracingBatches { traces in
                try await traces.recordingRest(of: info, after: session.traceParent) { trace in
                    try await client.resume(
                        info.id,
                        publishTimeout: timeout,
                        comparing: recorded.isStream,
                        trace: trace,
                        events: events
                    ) { position in source.chunks(from: position) }
                }
            }
        }
        session.console.say(
            "resumed batch \(created.id) of \(created.flow) after \(Wording.count(created.resumedAt ?? 0, "task")): "
                + "\(Wording.count(created.total, "task")) in all"
        )
        if let text = Wording.twins(created.twins, of: created.total) { session.console.say("twins: \(text)") }
        return BatchCreation.Report(batch: created, skipped: recorded.known.skip == nil ? nil : await source.skipped)
    }
}

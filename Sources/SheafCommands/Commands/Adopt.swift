import ArgumentParser
import Foundation
import Sheaf
import SheafCore
import SheafFlows
import SheafFormats
import SheafSettings
import SheafSources
import SystemPackage

extension SheafCommand {
    /// Takes over a submission.
    struct Adopt: SessionCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take over a provider's batch that was submitted by other means.",
            usage: "sheaf adopt [<options>] <flow> <submission>",
            discussion: """
                A batch is created whose tasks are the requests of the submission, with their custom_id as the \
                record's id. A worker waits for the submission, and its results become those of the tasks. What has \
                no result is submitted again. The flow must have 'bulk' and ask the same API with the same key.

                Examples:
                  sheaf adopt summarize batch_68a1
                  sheaf adopt summarize batch_68a1 --batch-id old-summaries
                """
        )

        @Argument(help: "The flow, by its name in sheaf.yaml.")
        var flow: String

        @Argument(help: "The provider's id of the submission.")
        var submission: String

        @Option(
            help: ArgumentHelp("The new batch's id; default: made of that of the submission.", valueName: "name"),
            transform: { text in
                guard let name = Name(text) else { throw ValidationError("it must have \(Name.rule)") }
                return name
            }
        )
        var batchId: Name?

        @OptionGroup var json: JSONOption
        @OptionGroup var common: CommonOptions

        @concurrent
        func run(in session: Session) async throws {
            let settings = try session.flow(named: flow)
            let definition = try session.definitions(named: [flow], isQuiet: true).first
            guard let definition, let submitting = definition.flow as? any SubmittingFlow else {
                throw Diagnosis(
                    .usage,
                    "flow '\(flow)' submits nothing, so it cannot take over a submission",
                    advice: "add 'bulk: true' to the flow in sheaf.yaml"
                )
            }
            let folder = FileManager.default.temporaryDirectory.appending(path: "sheaf-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let path = folder.appending(path: "requests.jsonl").path
            try await download(submitting, to: path)
            let requests = SourceConfiguration(inputs: [path], format: .jsonl, idField: "custom_id", shuffle: false)
            let source = try await RecordSource.open(requests, leavingOut: nil)
            try await session.withClient { client in
                let plan = plan(settings)
                let creation = BatchCreation(client: client, session: session)
                let created = try await creation.run(plan, source: source, total: source.count)
                creation.report(created)
                try session.console.print(json.isOn ? created.json(with: [:], skipped: nil).text : created.id.text)
            }
        }

        private func download(_ flow: any SubmittingFlow, to path: String) async throws {
            let file = try FileDescriptor.open(
                FilePath(path),
                .writeOnly,
                options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: .ownerReadWrite
            )
            let outcome: Result<Void, any Error>
            do {
                outcome = .success(try await flow.downloadRequests(of: submission, to: file))
            } catch {
                outcome = .failure(error)
            }
            try file.close()
            await flow.shutDown()
            do {
                try outcome.get()
            } catch let error as FlowError {
                throw Diagnosis(.notFound, "cannot take over submission '\(submission)': \(error.message)")
            }
        }

        /// Returns the batch to create; its input is a temporary file, so its creation cannot be resumed.
        private func plan(_ flow: FlowSettings) -> BatchPlan {
            var options = BatchOptions(
                errorPolicy: flow.batch.errorPolicy ?? .continue,
                tags: flow.batch.tags,
                notify: flow.batch.notify
            )
            options.adoptedSubmission = submission
            return BatchPlan(
                flow: flow.name,
                // The same submission must not be taken over twice by mistake.
                id: batchId ?? Name("adopted-\(submission)"),
                options: options,
                defaults: flow.parameters,
                source: "submission \(submission)"
            )
        }
    }
}

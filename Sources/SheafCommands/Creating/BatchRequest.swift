import Foundation
import Sheaf
import SheafCore
import SheafSettings
import SheafSources

/// What `create` is asked for, put together from the command line and the configuration.
struct BatchRequest: Sendable, Equatable {
    /// What to read.
    let source: SourceConfiguration
    /// The flow.
    let flow: Name
    /// The parameters that the flow has by default.
    let defaults: JSONValue
    /// The choices of parameters; each record makes a task for each.
    let variants: ParameterVariants
    /// The id asked for.
    let id: Name?
    /// The options of the batch.
    let options: BatchOptions
    /// Whether one bad record keeps all from being published.
    let isStrict: Bool
    /// How long the broker may confirm nothing.
    let publishTimeout: Duration

    /// How long that is where nobody says anything.
    static let defaultPublishTimeout = Duration.seconds(60)

    init(_ flow: FlowSettings, input: InputOptions, publishing: PublishingOptions) throws {
        let seed = input.seed ?? UInt64.random(in: 0..<1 << 53)  // a number that any JSON reader keeps
        source = try flow.source(input, seed: seed, readsStandardInput: isatty(STDIN_FILENO) == 0)
        let parameters = ParameterArgument.object(publishing.parameters)
        self.flow = flow.name
        defaults = flow.parameters
        variants = try ParameterVariants(defaults: flow.parameters, parameters: parameters)
        id = publishing.batchId
        isStrict = publishing.strict ?? flow.batch.strict ?? false
        publishTimeout =
            publishing.publishTimeout?.duration ?? flow.batch.publishTimeout ?? Self.defaultPublishTimeout
        options = BatchOptions(
            errorPolicy: publishing.errorPolicy ?? flow.batch.errorPolicy ?? .continue,
            maxRunning: publishing.concurrency ?? flow.batch.maxRunning,
            seed: source.shuffle ? seed : nil,
            maxRecords: source.maxRecords,
            parameters: parameters,
            isInteractive: publishing.interactive ?? flow.batch.isInteractive ?? false
        )
    }

    /// The plan of the batch, of a source that was opened.
    func plan(_ fingerprint: InputFingerprint, skip: BatchInput.Skip?) -> BatchPlan {
        var reading = source
        reading.workingDirectory = FileManager.default.currentDirectoryPath
        return BatchPlan(
            flow: flow,
            id: id,
            options: options,
            defaults: defaults,
            source: source.inputs.map { $0 == "-" ? "standard input" : $0 }.prefix(5).joined(separator: " ")
                + (source.inputs.count > 5 ? " and \(source.inputs.count - 5) more" : ""),
            input: BatchInput(source: reading, fingerprint: fingerprint, skip: skip, isStrict: isStrict),
            publishTimeout: publishTimeout
        )
    }
}

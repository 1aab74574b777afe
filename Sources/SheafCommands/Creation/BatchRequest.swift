import Foundation
import OrderedCollections
import Sheaf
import SheafCore
import SheafSettings
import SheafSources

/// The request of a `create`, from the command line and the configuration.
struct BatchRequest: Sendable, Equatable {
    /// The input.
    let source: SourceConfiguration
    /// The flow.
    let flow: Name
    /// The default parameters of the flow.
    let defaults: JSONValue
    /// The variants of the parameters; each record makes a task for each variant.
    let variants: ParameterVariants
    /// The id that was chosen, if any.
    let id: Name?
    /// The options of the batch.
    let options: BatchOptions
    /// Whether one unreadable record keeps the whole batch from being published.
    let isStrict: Bool
    /// How long publishing waits while the broker confirms nothing.
    let publishTimeout: Duration

    /// The default of ``publishTimeout``.
    static let defaultPublishTimeout = Duration.seconds(60)

    init(_ flow: FlowSettings, input: InputOptions, publishing: PublishingOptions) throws {
        let seed = input.seed ?? UInt64.random(in: 0..<1 << 53)  // an integer that every JSON reader keeps exactly
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

    /// Returns the plan of the batch for an opened source.
    func plan(_ fingerprint: InputFingerprint, skip: BatchInput.Skip?) -> BatchPlan {
        var reading = source
        reading.workingDirectory = source.workingDirectory ?? FileManager.default.currentDirectoryPath
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

extension FlowSettings {
    /// Returns what to read: the inputs of the command, else those of the configuration, else piped standard input.
    func source(_ options: InputOptions, seed: UInt64, readsStandardInput: Bool) throws -> SourceConfiguration {
        let isFromConfiguration = options.inputs.isEmpty && !source.isEmpty
        var inputs = isFromConfiguration ? source : options.inputs
        if inputs.isEmpty {
            guard readsStandardInput else {
                throw Diagnosis(
                    .usage,
                    "no input was named, and flow '\(name)' has no source in the configuration",
                    advice: "try 'sheaf create \(name) INPUT…' with files, folders or globs, or - for standard input"
                )
            }
            inputs = ["-"]
        }
        return SourceConfiguration(
            inputs: inputs,
            format: try options.format ?? configuredFormat ?? Self.format(ofList: options.inputs),
            idField: options.idField ?? idField,
            columns: Dictionary(columns.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }),
            shuffle: shuffles(options),
            seed: seed,
            maxRecords: options.maxRecords ?? batch.maxRecords,
            workingDirectory: isFromConfiguration ? sourceDirectory : nil
        )
    }

    /// Returns whether the order of the records is random.
    func shuffles(_ options: InputOptions) -> Bool {
        options.shuffle ?? (options.seed != nil ? true : batch.shuffle) ?? true
    }

    /// Returns `files` for several plain files: a shell has probably expanded a glob, whose files are one record each.
    private static func format(ofList inputs: [String]) -> SourceFormat? {
        let structured: Set<SourceFormat> = [.jsonl, .json, .csv, .tsv]
        let isPlain =
            inputs.count > 1
            && inputs.allSatisfy { input in
                input != "-" && SourceFormat(ending: input).map { !structured.contains($0) } ?? true
            }
        return isPlain ? .files : nil
    }

    private var configuredFormat: SourceFormat? {
        get throws {
            guard let format else { return nil }
            if let known = SourceFormat(rawValue: format) { return known }
            let names = SourceFormat.allCases.map(\.rawValue).joined(separator: ", ")
            throw SettingsError(
                "'\(format)' is not a format; it must be one of \(names)",
                at: "flows.\(name).format",
                from: origin
            )
        }
    }
}

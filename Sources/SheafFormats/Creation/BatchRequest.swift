import Foundation
package import SheafBatches
package import SheafCore
package import SheafSettings
package import SheafSources

/// A batch to create, from what the user has chosen and what the configuration of its flow says.
package struct BatchRequest: Sendable, Equatable {
    /// The input.
    package let source: SourceConfiguration
    /// The flow.
    package let flow: Name
    /// The default parameters of the flow.
    package let defaults: JSONValue
    /// The variants of the parameters; each record makes a task for each variant.
    package let variants: ParameterVariants
    /// The id that was chosen, if any.
    package let id: Name?
    /// The options of the batch.
    package let options: BatchOptions
    /// Whether one unreadable record keeps the whole batch from being published.
    package let isStrict: Bool
    /// How long publishing waits while the broker confirms nothing.
    package let publishTimeout: Duration

    /// The default of ``publishTimeout``.
    package static let defaultPublishTimeout = Duration.seconds(60)

    /// Combines a flow and what was chosen.
    ///
    /// - Throws: ``Problem`` if there is no input, and the errors of the flow's configuration and of the parameters.
    package init(_ flow: FlowSettings, _ choices: BatchChoices) throws {
        let seed = choices.seed ?? UInt64.random(in: 0..<1 << 53)  // an integer that every JSON reader keeps exactly
        source = try flow.source(choices, seed: seed)
        self.flow = flow.name
        defaults = flow.parameters
        variants = try ParameterVariants(defaults: flow.parameters, parameters: choices.parameters)
        id = choices.batchID
        isStrict = choices.strict ?? flow.batch.strict ?? false
        publishTimeout = choices.publishTimeout ?? flow.batch.publishTimeout ?? Self.defaultPublishTimeout
        options = BatchOptions(
            errorPolicy: choices.errorPolicy ?? flow.batch.errorPolicy ?? .continue,
            maxRunning: choices.concurrency ?? flow.batch.maxRunning,
            seed: source.shuffle ? seed : nil,
            maxRecords: source.maxRecords,
            parameters: choices.parameters,
            isInteractive: choices.interactive ?? flow.batch.isInteractive ?? false,
            tags: flow.batch.tags.merging(choices.tags) { $1 },
            notify: choices.notify.isEmpty ? flow.batch.notify : choices.notify,
            pilot: choices.pilot,
            deduplication: choices.deduplication ?? flow.batch.deduplication
        )
    }

    /// Returns the plan of the batch for an opened source.
    ///
    /// - Parameters:
    ///   - fingerprint: The fingerprint of the source.
    ///   - stream: What `-` stands for, in the description for people.
    ///   - skip: The records that are left out.
    package func plan(
        _ fingerprint: InputFingerprint,
        stream: String = "standard input",
        skip: BatchInput.Skip? = nil
    ) -> BatchPlan {
        var reading = source
        reading.workingDirectory = source.workingDirectory ?? FileManager.default.currentDirectoryPath
        return BatchPlan(
            flow: flow,
            id: id,
            options: options,
            defaults: defaults,
            source: source.inputs.prefix(5).map { $0 == "-" ? stream : $0 }.joined(separator: " ")
                + (source.inputs.count > 5 ? " and \(source.inputs.count - 5) more" : ""),
            input: BatchInput(source: reading, fingerprint: fingerprint, skip: skip, isStrict: isStrict),
            publishTimeout: publishTimeout
        )
    }
}

extension FlowSettings {
    /// Returns what to read: the inputs that were chosen, else those of the configuration.
    package func source(_ choices: BatchChoices, seed: UInt64) throws -> SourceConfiguration {
        let isFromConfiguration = choices.inputs.isEmpty
        if isFromConfiguration, source.isEmpty {
            throw Problem(.usage, "there is no input, and flow '\(name)' has no source in the configuration")
        }
        return SourceConfiguration(
            inputs: isFromConfiguration ? source : choices.inputs,
            format: try choices.format ?? configuredFormat ?? Self.format(ofList: choices.inputs),
            idField: choices.idField ?? idField,
            columns: Dictionary(columns.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 }),
            shuffle: choices.shuffle ?? (choices.seed != nil ? true : batch.shuffle) ?? true,
            seed: seed,
            maxRecords: choices.maxRecords ?? batch.maxRecords,
            workingDirectory: isFromConfiguration ? sourceDirectory : nil
        )
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

import OrderedCollections
import SheafCore
import SheafSettings
import SheafSources

extension FlowSettings {
    /// What to read: the inputs asked for, else those of the configuration, else standard input if somebody feeds it.
    func source(_ options: InputOptions, seed: UInt64, readsStandardInput: Bool) throws -> SourceConfiguration {
        var inputs = options.inputs.isEmpty ? source : options.inputs
        if inputs.isEmpty {
            guard readsStandardInput else {
                throw Diagnosis(
                    .usage,
                    "no input was given, and flow '\(name)' has no source in the configuration",
                    advice: "name files, folders or globs, or - for standard input"
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
            maxRecords: options.maxRecords ?? batch.maxRecords
        )
    }

    /// Whether the order of the records is to be a random one.
    func shuffles(_ options: InputOptions) -> Bool {
        options.shuffle ?? (options.seed != nil ? true : batch.shuffle) ?? true
    }

    /// Several files without a structure of their own are what a shell makes of a glob, and so each is a record as there.
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
                "'\(format)' is no format; it must be one of \(names)",
                at: "flows.\(name).format",
                from: origin
            )
        }
    }
}

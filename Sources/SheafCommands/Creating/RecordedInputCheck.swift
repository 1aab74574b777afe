import Foundation
import Sheaf
import SheafCore
import SheafSources

/// Holds what is given with a command that reads a batch's input again against what the batch was created with.
struct RecordedInputCheck: Sendable {
    let record: BatchInfo
    let known: BatchInput
    let source: SourceConfiguration
    /// The command, as people would type it.
    let command: String

    /// What to read; refuses options that differ, and says which.
    func configuration(input: InputOptions, publishing: PublishingOptions?) throws -> SourceConfiguration {
        var differences = differences(of: input) + (publishing.map(differences) ?? [])
        var configuration = source
        let given = inputs(input)
        if !given.isEmpty {
            let folder = FileManager.default.currentDirectoryPath
            let isRelative = given.contains { $0 != "-" && !$0.hasPrefix("/") }
            if SourceConfiguration.digest(of: given) != known.inputsDigest {
                differences.append("its input is \(record.source), not \(given.prefix(5).joined(separator: " "))")
            } else if isRelative, let before = source.workingDirectory, folder != before {
                differences.append("its input is in the folder \(before), not in \(folder)")
            }
            configuration.inputs = given
        }
        guard differences.isEmpty else {
            throw Diagnosis(
                .usage,
                "batch '\(record.id)' was created otherwise:\n" + differences.joined(separator: "\n"),
                advice: "'\(command)' needs no other option"
            )
        }
        if configuration.inputs.isEmpty {
            throw Diagnosis(
                .usage,
                "batch '\(record.id)' has more inputs than its entry in the journal holds",
                advice: "give them again, as the batch was created with: \(command) INPUT…"
            )
        }
        if configuration.inputs.contains("-"), given.isEmpty {
            throw Diagnosis(
                .usage,
                "batch '\(record.id)' reads standard input, which is not there any more",
                advice: "feed it again, from its beginning: … | \(command) -"
            )
        }
        return configuration
    }

    /// Refuses an input that is not what it was, and says what has changed.
    func compare(_ fingerprint: InputFingerprint, with before: InputFingerprint) throws {
        let changes = fingerprint.changes(since: before)
        guard !changes.isEmpty else { return }
        let shown = changes.prefix(10) + (changes.count > 10 ? ["… and \(changes.count - 10) more changes"] : [])
        throw Diagnosis(
            .badData,
            "the input of batch '\(record.id)' has changed since \(record.createdAt), so the rest can not be told from "
                + "what is published:\n" + shown.joined(separator: "\n"),
            advice: "bring it back as it was, or drop the batch with 'sheaf cancel \(record.id)'; then 'sheaf create … "
                + "--skip-succeeded \(record.id)' leaves out what has succeeded"
        )
    }

    /// The inputs given: the first argument may be the flow or an input.
    private func inputs(_ input: InputOptions) -> [String] {
        guard input.flowOption == nil, let first = input.flowArgument, first != record.flow.text else {
            return input.inputs
        }
        return [first] + input.inputs
    }

    private func differences(of input: InputOptions) -> [String] {
        var found: [String] = []
        if let flow = input.flowOption, flow != record.flow.text {
            found.append("its flow is \(record.flow), not \(flow)")
        }
        func compare<Value: Equatable>(_ option: String, _ given: Value?, _ before: Value?) {
            guard let given, given != before else { return }
            found.append("\(option) was \(before.map { "\($0)" } ?? "not given"), not \(given)")
        }
        compare("--format", input.format?.rawValue, source.format?.rawValue)
        compare("--id-field", input.idField, source.idField)
        compare("--max-records", input.maxRecords, source.maxRecords)
        compare("--shuffle", input.shuffle, source.shuffle)
        compare("--seed", input.seed, record.options.seed)
        return found
    }

    private func differences(of publishing: PublishingOptions) -> [String] {
        var found: [String] = []
        func compare<Value: Equatable>(_ option: String, _ given: Value?, _ before: Value?) {
            guard let given, given != before else { return }
            found.append("\(option) was \(before.map { "\($0)" } ?? "not given"), not \(given)")
        }
        if !publishing.parameters.isEmpty {
            compare(
                "--parameter",
                ParameterArgument.object(publishing.parameters).text,
                record.options.parameters.text
            )
        }
        compare("--error-policy", publishing.errorPolicy?.description, record.options.errorPolicy.description)
        compare("--concurrency", publishing.concurrency, record.options.maxRunning)
        compare("--batch-id", publishing.batchId?.text, record.id.text)
        compare("--strict", publishing.strict, known.isStrict)
        if publishing.skipSucceeded != "last" {
            compare("--skip-succeeded", publishing.skipSucceeded, known.skip?.batch.text)
        }
        return found
    }
}

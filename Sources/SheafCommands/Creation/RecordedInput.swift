import Foundation
import Sheaf
import SheafCore
import SheafSources

/// The input of a batch, read again as the journal records it.
struct RecordedInput: Sendable {
    let info: BatchInfo
    let client: SheafClient
    /// The command that reads it, as it is typed.
    let command: String
    let known: BatchInput
    let source: SourceConfiguration
    let fingerprint: InputFingerprint

    /// Creates an input; throws if the journal does not record what the input was.
    init(of info: BatchInfo, client: SheafClient, command: String) throws {
        guard let known = info.batchInput, let source = known.source, let fingerprint = known.fingerprint else {
            throw Diagnosis(
                .usage,
                "cannot read the input of batch '\(info.id)' again: its journal entry does not record it",
                advice: """
                    the program that created it can do so with SheafClient.resume or SheafClient.retryMissing; \
                    'sheaf cancel' ends the batch
                    """
            )
        }
        (self.info, self.client, self.command) = (info, client, command)
        (self.known, self.source, self.fingerprint) = (known, source, fingerprint)
    }

    /// Whether it can be read only once, from its beginning.
    var isStream: Bool { fingerprint.size == nil }

    /// Opens the input without the records that were left out; throws if the input or the options differ.
    func open(_ input: InputOptions, _ publishing: PublishingOptions? = nil) async throws -> RecordSource {
        let check = RecordedInputCheck(info: info, known: known, source: source, command: command)
        let wanted = try check.configuration(input: input, publishing: publishing)
        let opened = try await open(wanted, leavingOut: try await leftOut())
        try check.compare(opened.fingerprint, with: fingerprint)
        return opened
    }

    /// Returns the records that were left out by the creation; those that succeeded later are already in the batch.
    private func leftOut() async throws -> RecordIDSet? {
        guard let skip = known.skip else { return nil }
        return try await client.succeededRecords(of: skip.batch.text, upTo: skip.endOffset).ids
    }

    private func open(
        _ configuration: SourceConfiguration,
        leavingOut excluded: RecordIDSet?
    ) async throws -> RecordSource {
        do {
            return try await RecordSource.open(configuration, leavingOut: excluded)
        } catch let error as SourceError {
            var diagnosis = Diagnosis(of: error)
            diagnosis.advice =
                "the batch was created on \(known.host) in \(configuration.workingDirectory ?? "/"); "
                + "its input must be there, unchanged"
            throw diagnosis
        }
    }
}

/// Compares the input and the options of a command with those that a batch was created with.
struct RecordedInputCheck: Sendable {
    let info: BatchInfo
    let known: BatchInput
    let source: SourceConfiguration
    /// The command, as it is typed.
    let command: String

    /// Returns what to read; throws if an option differs.
    func configuration(input: InputOptions, publishing: PublishingOptions?) throws -> SourceConfiguration {
        var differences = differences(of: input) + (publishing.map(differences) ?? [])
        var configuration = source
        let given = inputs(input)
        if !given.isEmpty {
            let folder = FileManager.default.currentDirectoryPath
            let isRelative = given.contains { $0 != "-" && !$0.hasPrefix("/") }
            if SourceConfiguration.digest(of: given) != known.inputsDigest {
                differences.append("its input is \(info.source), not \(given.prefix(5).joined(separator: " "))")
            } else if isRelative, let before = source.workingDirectory, folder != before {
                differences.append("its input is in the folder \(before), not in \(folder)")
            }
            configuration.inputs = given
        }
        guard differences.isEmpty else {
            throw Diagnosis(
                .usage,
                "batch '\(info.id)' was created with other options:\n" + differences.joined(separator: "\n"),
                advice: "'\(command)' needs no other option"
            )
        }
        if configuration.inputs.isEmpty {
            throw Diagnosis(
                .usage,
                "batch '\(info.id)' has more inputs than its journal entry can hold",
                advice: "name them again, as when the batch was created: \(command) INPUT…"
            )
        }
        if configuration.inputs.contains("-"), given.isEmpty {
            throw Diagnosis(
                .usage,
                "batch '\(info.id)' was created from standard input, which is no longer available",
                advice: "feed it again from its beginning: … | \(command) -"
            )
        }
        return configuration
    }

    /// Throws if the input has changed; the error lists the changes.
    func compare(_ fingerprint: InputFingerprint, with before: InputFingerprint) throws {
        let changes = fingerprint.changes(since: before)
        guard !changes.isEmpty else { return }
        let shown = changes.prefix(10) + (changes.count > 10 ? ["… and \(changes.count - 10) more changes"] : [])
        throw Diagnosis(
            .badData,
            "the input of batch '\(info.id)' has changed since \(info.createdAt), so it is unknown which records are "
                + "already published:\n" + shown.joined(separator: "\n"),
            advice: "restore it, or cancel the batch with 'sheaf cancel \(info.id)'; then 'sheaf create … "
                + "--skip-succeeded \(info.id)' leaves out the records that succeeded"
        )
    }

    /// Returns the inputs of the command; the first argument may be the flow or an input.
    private func inputs(_ input: InputOptions) -> [String] {
        guard input.flowOption == nil, let first = input.flowArgument, first != info.flow.text else {
            return input.inputs
        }
        return [first] + input.inputs
    }

    private func differences(of input: InputOptions) -> [String] {
        var found: [String] = []
        if let flow = input.flowOption, flow != info.flow.text {
            found.append("its flow is \(info.flow), not \(flow)")
        }
        func compare<Value: Equatable>(_ option: String, _ given: Value?, _ before: Value?) {
            guard let given, given != before else { return }
            found.append("\(option) was \(before.map { "\($0)" } ?? "not given"), not \(given)")
        }
        compare("--format", input.format?.rawValue, source.format?.rawValue)
        compare("--id-field", input.idField, source.idField)
        compare("--max-records", input.maxRecords, source.maxRecords)
        compare("--shuffle", input.shuffle, source.shuffle)
        compare("--seed", input.seed, info.options.seed)
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
                info.options.parameters.text
            )
        }
        compare("--error-policy", publishing.errorPolicy?.description, info.options.errorPolicy.description)
        compare("--concurrency", publishing.concurrency, info.options.maxRunning)
        compare("--pilot", publishing.pilot, info.options.pilot?.tasks)
        compare("--pilot-pass", publishing.pilotPass, info.options.pilot?.pass)
        compare("--batch-id", publishing.batchId?.text, info.id.text)
        for tag in publishing.tag { compare("--tag \(tag.key)", tag.value, info.options.tags[tag.key]) }
        compare("--strict", publishing.strict, known.isStrict)
        if publishing.skipSucceeded != "last" {
            compare("--skip-succeeded", publishing.skipSucceeded, known.skip?.batch.text)
        }
        return found
    }
}

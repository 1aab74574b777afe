import ArgumentParser
import Foundation
import SheafCore
import SheafFormats
import SheafSettings

/// The options of a new batch, besides its input.
struct PublishingOptions: ParsableArguments {
    @Option(
        name: [.short, .customLong("parameter")],
        help: ArgumentHelp(
            "A parameter for the flow; the value is JSON if it is valid, else a string. A list makes one task for "
                + "each element. May be repeated.",
            valueName: "name=value"
        )
    )
    var parameters: [ParameterArgument] = []

    @Option(
        help: ArgumentHelp(
            "When tasks fail: continue (default), stop, stop:N (after more than N failures) or stop:P% (after more "
                + "than P percent).",
            valueName: "policy"
        ),
        transform: { text in
            guard let policy = ErrorPolicy(text) else { throw ValidationError("it must be \(ErrorPolicy.rule)") }
            return policy
        }
    )
    var errorPolicy: ErrorPolicy?

    @Option(
        help: ArgumentHelp(
            "Set the batch's max_running: at most N of its tasks run at once over all workers; default: no "
                + "limit. 'sheaf set' changes it.",
            valueName: "n"
        )
    )
    var concurrency: Int?

    @Option(
        help: ArgumentHelp(
            "Run the first N tasks of the order, then pause; 'sheaf status' shows what the whole batch would cost, and "
                + "'sheaf resume' runs the rest. Default: no pilot.",
            valueName: "n"
        )
    )
    var pilot: Int?

    @Option(
        help: ArgumentHelp(
            "With --pilot: go on without a pause if at least this percentage of the pilot has succeeded, such as 95%.",
            valueName: "percentage"
        ),
        transform: { text in
            guard let percentage = Pilot.percentage(text) else { throw ValidationError("it must be \(Pilot.passRule)") }
            return percentage
        }
    )
    var pilotPass: Double?

    @Option(
        help: ArgumentHelp("The id of the batch; default: a new one.", valueName: "id"),
        transform: { text in
            guard let name = Name(text) else { throw ValidationError("it must be \(Name.rule)") }
            return name
        }
    )
    var batchId: Name?

    @Option(
        help: ArgumentHelp(
            "A tag by which 'sheaf list --tag' finds the batch. May be repeated.",
            valueName: "key=value"
        ),
        transform: { try TagArgument($0) }
    )
    var tag: [TagArgument] = []

    @Option(
        help: ArgumentHelp(
            "Post a signed webhook to this URL when the batch has ended. May be repeated; default: the flow's.",
            valueName: "url"
        ),
        transform: { text in
            guard BatchDefaults.isURL(text) else { throw ValidationError("it must be an http or https URL") }
            return text
        }
    )
    var notify: [String] = []

    @Flag(
        inversion: .prefixedNo,
        help: "Read the whole input first; if records cannot be read, list them and publish nothing."
    )
    var strict: Bool?

    @Flag(
        inversion: .prefixedNo,
        help: "Let tasks ask questions, at the worker's terminal or through 'sheaf questions' and 'sheaf answer'."
    )
    var interactive: Bool?

    @Flag(
        inversion: .prefixedNo,
        help: ArgumentHelp(
            "Run identical records once: those with the same content but for their ids. The others get the outcome of "
                + "the first."
        )
    )
    var dedupe: Bool?

    @Option(
        help: ArgumentHelp(
            "Run records with the same values of these fields once, such as title,text.",
            valueName: "fields"
        ),
        transform: { text in
            let names = text.split(separator: ",", omittingEmptySubsequences: false)
            let rule = Deduplication.fields(names.map { $0.trimmingCharacters(in: .whitespaces) })
            guard rule.problem == nil else { throw ValidationError("it must be names of fields, separated by commas") }
            return rule
        }
    )
    var dedupeFields: Deduplication?

    @Option(
        help: ArgumentHelp(
            "Leave out the records that succeeded in that batch, by their ids. That batch must have ended, or be "
                + "paused or stopped.",
            valueName: "batch"
        )
    )
    var skipSucceeded: String?

    @Option(
        name: .customLong("resume"),
        help: ArgumentHelp(
            "Publish the rest of a batch whose creation was interrupted; 'last' is the newest one. No other option is "
                + "needed. If the input was standard input, add - and pipe it in again from its beginning. (The "
                + "command 'sheaf resume' is about something else: it continues a paused or stopped batch.)",
            valueName: "batch"
        )
    )
    var resumed: String?

    @Option(
        help: ArgumentHelp(
            "How long to wait for a broker that confirms nothing, as in a memory alarm, such as 5m (default: 60s).",
            valueName: "time"
        )
    )
    var publishTimeout: TimeSpan?

    /// The tags; the last of several with the same key wins.
    var tags: [String: String] { Dictionary(tag.map { ($0.key, $0.value) }) { $1 } }

    func validate() throws {
        if publishTimeout?.duration == .zero { throw ValidationError("--publish-timeout must be more than 0") }
        if notify.count > BatchOptions.maximumURLs {
            throw ValidationError("--notify may be given \(BatchOptions.maximumURLs) times at most")
        }
        if let pilot, !Pilot.sizes.contains(pilot) {
            throw ValidationError("--pilot must be from 1 to \(Pilot.sizes.upperBound)")
        }
        if dedupe == false, dedupeFields != nil {
            throw ValidationError("--no-dedupe and --dedupe-fields cannot be combined")
        }
        if pilotPass != nil, pilot == nil { throw ValidationError("--pilot-pass needs --pilot") }
        if let problem = Tags.problem(of: tags) { throw ValidationError(problem) }
        if let concurrency, !BatchOptions.runningLimits.contains(concurrency) {
            throw ValidationError("--concurrency must be from 1 to \(BatchOptions.runningLimits.upperBound)")
        }
    }
}

extension BatchChoices {
    /// Takes what the command line says about the input; without any input, piped standard input is read.
    init(_ input: InputOptions, for flow: FlowSettings) throws {
        self.init()
        inputs = input.inputs
        if inputs.isEmpty, flow.source.isEmpty {
            guard isatty(STDIN_FILENO) == 0 else {
                throw Diagnosis(
                    .usage,
                    "no input was named, and flow '\(flow.name)' has no source in the configuration",
                    advice:
                        "try 'sheaf create \(flow.name) INPUT…' with files, folders or globs, or - for standard input"
                )
            }
            inputs = ["-"]
        }
        (format, idField, maxRecords) = (input.format, input.idField, input.maxRecords)
        (shuffle, seed) = (input.shuffle, input.seed)
    }

    /// Takes what the command line says about a new batch.
    init(_ input: InputOptions, _ publishing: PublishingOptions, for flow: FlowSettings) throws {
        try self.init(input, for: flow)
        parameters = ParameterArgument.object(publishing.parameters)
        (errorPolicy, concurrency, batchID) = (publishing.errorPolicy, publishing.concurrency, publishing.batchId)
        (strict, interactive, tags) = (publishing.strict, publishing.interactive, publishing.tags)
        notify = publishing.notify
        pilot = publishing.pilot.map { Pilot(tasks: $0, pass: publishing.pilotPass) }
        if let fields = publishing.dedupeFields {
            deduplication = .some(fields)
        } else if let isOn = publishing.dedupe {
            deduplication = .some(isOn ? .records : nil)
        }
        publishTimeout = publishing.publishTimeout?.duration
    }
}

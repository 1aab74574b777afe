import ArgumentParser
import SheafCore

/// What a new batch is to be, besides its input.
struct PublishingOptions: ParsableArguments {
    @Option(
        name: [.short, .customLong("parameter")],
        help: ArgumentHelp(
            "A parameter for the flow; the value is JSON where it is valid, else text. A list makes one task for each "
                + "element. May be repeated.",
            valueName: "name=value"
        )
    )
    var parameters: [ParameterArgument] = []

    @Option(
        help: ArgumentHelp(
            "When tasks fail: continue (default), stop, stop:N (after more than N) or stop:P% (after more than P percent).",
            valueName: "policy"
        ),
        transform: { text in
            guard let policy = ErrorPolicy(text) else { throw ValidationError("It must be \(ErrorPolicy.rule).") }
            return policy
        }
    )
    var errorPolicy: ErrorPolicy?

    @Option(help: ArgumentHelp("Run at most so many tasks at once over all workers.", valueName: "n"))
    var concurrency: Int?

    @Option(
        help: ArgumentHelp("The id of the batch; left out: a new one.", valueName: "id"),
        transform: { text in
            guard let name = Name(text) else { throw ValidationError("It must be \(Name.rule).") }
            return name
        }
    )
    var batchId: Name?

    @Flag(
        inversion: .prefixedNo,
        help: "Read everything first; where any record is bad, list the bad ones and publish nothing."
    )
    var strict: Bool?

    @Flag(
        inversion: .prefixedNo,
        help: "Let its tasks ask people: at the worker's terminal, or by 'sheaf questions' and 'sheaf answer'."
    )
    var interactive: Bool?

    @Option(
        help: ArgumentHelp(
            "Leave out the records that succeeded in that batch, by their ids; it must have ended or be halted.",
            valueName: "batch"
        )
    )
    var skipSucceeded: String?

    @Option(
        name: .customLong("resume"),
        help: ArgumentHelp(
            "Publish the rest of a batch whose creation was interrupted; 'last' is the newest one. Nothing else need be "
                + "given, but - where it reads standard input, which has to be fed again from its beginning.",
            valueName: "batch"
        )
    )
    var resumed: String?

    @Option(
        help: ArgumentHelp(
            "Wait so long for a broker that confirms nothing, as in a memory alarm (default: 60s).",
            valueName: "time"
        )
    )
    var publishTimeout: TimeSpan?

    func validate() throws {
        if publishTimeout?.duration == .zero { throw ValidationError("--publish-timeout must be more than nothing.") }
        if let concurrency, concurrency < 1 { throw ValidationError("--concurrency must be 1 or more.") }
    }
}

import ArgumentParser
import SheafSources

/// The flow and its input, for `create` and `validate`.
struct InputOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("The flow, by its name in sheaf.yaml.", valueName: "flow"))
    var flowArgument: String?

    @Argument(
        help: ArgumentHelp(
            "Files, folders, globs, or - for standard input; default: the flow's source, else standard input.",
            valueName: "input"
        ),
        completion: .file()
    )
    var inputArguments: [String] = []

    @Option(
        name: .customLong("flow"),
        help: ArgumentHelp("The flow; then all arguments are inputs.", valueName: "name")
    )
    var flowOption: String?

    @Option(
        name: .customLong("input"),
        help: ArgumentHelp("An input; may be repeated.", valueName: "path"),
        completion: .file()
    )
    var inputOptions: [String] = []

    @Option(help: "How inputs are split into records; default: by the ending of their names.")
    var format: SourceFormat?

    @Option(help: ArgumentHelp("The field that holds a record's id; default: id or record_id.", valueName: "field"))
    var idField: String?

    @Option(
        help: ArgumentHelp(
            "Take at most N records: a random sample if shuffled, else the first ones; default: all.",
            valueName: "n"
        )
    )
    var maxRecords: Int?

    @Flag(inversion: .prefixedNo, help: "Take the records in random order (default), or in the order of the input.")
    var shuffle: Bool?

    @Option(
        help: ArgumentHelp(
            "The seed of the random order; the same seed gives the same order; default: a new one.",
            valueName: "number"
        )
    )
    var seed: UInt64?

    func validate() throws {
        if let maxRecords, maxRecords < 1 { throw ValidationError("--max-records must be 1 or more") }
        if seed != nil, shuffle == false { throw ValidationError("--seed and --no-shuffle cannot be combined") }
    }

    /// The flow that was named.
    var flow: String? { flowOption ?? flowArgument }

    /// The inputs that were named.
    var inputs: [String] {
        (flowOption == nil ? [] : flowArgument.map { [$0] } ?? []) + inputArguments + inputOptions
    }
}

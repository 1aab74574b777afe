import ArgumentParser
import SheafSources

/// Which flow, and which records: what `create` and `validate` share.
struct InputOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("The flow, by its name in sheaf.yaml.", valueName: "flow"))
    var flowArgument: String?

    @Argument(
        help: ArgumentHelp(
            "Files, folders, globs, or - for standard input; left out: the flow's source, else standard input.",
            valueName: "input"
        ),
        completion: .file()
    )
    var inputArguments: [String] = []

    @Option(
        name: .customLong("flow"),
        help: ArgumentHelp("The flow; all arguments are inputs then.", valueName: "name")
    )
    var flowOption: String?

    @Option(
        name: .customLong("input"),
        help: ArgumentHelp("An input; may be repeated.", valueName: "path"),
        completion: .file()
    )
    var inputOptions: [String] = []

    @Option(help: "How inputs are cut into records; left out: by the ending of their names.")
    var format: SourceFormat?

    @Option(help: ArgumentHelp("The field that holds a record's id; left out: id or record_id.", valueName: "field"))
    var idField: String?

    @Option(
        help: ArgumentHelp("Take at most so many records: a sample where shuffled, else the first.", valueName: "n")
    )
    var maxRecords: Int?

    @Flag(inversion: .prefixedNo, help: "Take the records in a random order (default), or in that of the input.")
    var shuffle: Bool?

    @Option(help: ArgumentHelp("Decides the random order; the same seed gives the same one.", valueName: "number"))
    var seed: UInt64?

    func validate() throws {
        if let maxRecords, maxRecords < 1 { throw ValidationError("--max-records must be 1 or more.") }
        if seed != nil, shuffle == false { throw ValidationError("--seed has no meaning with --no-shuffle.") }
    }

    /// The flow asked for.
    var flow: String? { flowOption ?? flowArgument }

    /// The inputs asked for.
    var inputs: [String] {
        (flowOption == nil ? [] : flowArgument.map { [$0] } ?? []) + inputArguments + inputOptions
    }
}

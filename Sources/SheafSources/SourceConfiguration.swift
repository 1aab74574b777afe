/// Says what to read, how, and in which order.
///
/// An input is a file, a glob (`texts/*.txt`; `*`, `?`, `[a-z]` and `**`), a folder (its regular files at any depth,
/// hidden ones left out, symbolic links to folders not followed) or `-` for standard input. What exists under exactly
/// the name given is that file, whatever characters its name has. The files of a glob or a folder are sorted by the
/// bytes of their paths; a path that is matched twice is read once. Pipes and devices are read like standard input.
///
/// The format is ``format`` where it is given. Otherwise:
/// - a named file: by its ending, upper or lower case: `.jsonl` and `.ndjson`, `.json`, `.csv`, `.tsv`, and lines for
///   `.txt`, `.list` and `.log`. Any other ending is an error. Several named text files are an error too, because
///   whether each line or each file is a record can not be known (a shell makes such a list of an unquoted glob);
/// - a glob or a folder: each file is a record, unless all of them have one of the structured endings (`.jsonl`,
///   `.ndjson`, `.json`, `.csv`, `.tsv`): then their records are read;
/// - standard input: JSONL where the first byte that is not blank is `{`, a JSON array where it is `[`, else lines.
///
/// The id of a record is its field `id`, or else `record_id` (or what ``idField`` names), where that is a string, a
/// number or a flag and not empty; otherwise `path:line`, or the path for a file that is a record.
public struct SourceConfiguration: Sendable, Equatable {
    /// The inputs, as the user gave them.
    public var inputs: [String]
    /// The format of all inputs, or nil to go by the rules above.
    public var format: SourceFormat?
    /// The field or column that holds the id of a record, by its name in the input or its new name in ``columns``.
    public var idField: String?
    /// The new name of each field to take, and its name in the input; empty takes the records as they are.
    ///
    /// The new record has its fields sorted by name. It applies to JSON objects and to rows.
    public var columns: [String: String]
    /// Whether the order is a seeded pseudo-random one.
    public var shuffle: Bool
    /// What decides the order and the sample; the same seed and input give the same.
    public var seed: UInt64
    /// How many records to take, or nil for all: a random sample where shuffled, else the first.
    public var maxRecords: Int?
    /// Where relative paths start, or nil for the working directory of the process.
    public var workingDirectory: String?
    /// Where temporary files go, or nil for `TMPDIR`, `/var/tmp` or `/tmp`, whichever is there first.
    public var temporaryDirectory: String?

    /// Makes a configuration.
    public init(
        inputs: [String],
        format: SourceFormat? = nil,
        idField: String? = nil,
        columns: [String: String] = [:],
        shuffle: Bool = true,
        seed: UInt64 = 0,
        maxRecords: Int? = nil,
        workingDirectory: String? = nil,
        temporaryDirectory: String? = nil
    ) {
        self.inputs = inputs
        self.format = format
        self.idField = idField
        self.columns = columns
        self.shuffle = shuffle
        self.seed = seed
        self.maxRecords = maxRecords
        self.workingDirectory = workingDirectory
        self.temporaryDirectory = temporaryDirectory
    }
}

package import SheafCore

/// A description of what to read, how, and in which order.
///
/// An input is one of the following:
/// - a file; an input that is the exact name of an existing file is that file, whatever characters the name has;
/// - a glob such as `texts/*.txt`, with `*`, `?`, `[a-z]` and `**`;
/// - a folder: its regular files at any depth, except hidden ones; symbolic links to folders are not followed;
/// - `-` for standard input.
///
/// The files of a glob or a folder are sorted by the bytes of their paths. A path that is matched twice is read once.
/// Pipes and devices are read like standard input.
///
/// If ``format`` is nil, the format depends on the input:
/// - a named file: the extension decides, in upper or lower case: `.jsonl` and `.ndjson`, `.json`, `.csv`, `.tsv`, and
///   lines for `.txt`, `.list` and `.log`. Any other extension is an error. Several named text files are an error too,
///   because either each line or each file could be a record (a shell expands an unquoted glob to such a list);
/// - a glob or a folder: each file is a record, unless all files have a structured extension (`.jsonl`, `.ndjson`,
///   `.json`, `.csv`, `.tsv`); then the records in the files are read;
/// - standard input: JSONL if the first byte that is not white space is `{`, a JSON array if it is `[`, otherwise
/// lines.
///
/// The id of a record is its field `id` or `record_id` (or the field ``idField``), if that is a string, a number or a
/// flag and not empty; otherwise it is `path:line`, or the path if the whole file is a record.
public struct SourceConfiguration: Sendable, Equatable {
    /// The inputs, as given by the user.
    public var inputs: [String]
    /// The format of all inputs, or nil to detect it by the rules above.
    public var format: SourceFormat?
    /// The field or column with the id of a record, by its name in the input or its new name in ``columns``.
    public var idField: String?
    /// The fields to select, as a dictionary from new names to names in the input; if empty, records stay unchanged.
    ///
    /// The fields of the new record are sorted by name. Applies to JSON objects and to rows.
    public var columns: [String: String]
    /// Whether records are read in a seeded pseudo-random order.
    public var shuffle: Bool
    /// The seed of the order and the sample; the same seed and input lead to the same result.
    public var seed: UInt64
    /// The maximum number of records, or nil for all: a random sample if shuffled, otherwise the first ones.
    public var maxRecords: Int?
    /// The folder for relative paths, or nil for the working directory of the process.
    public var workingDirectory: String?
    /// The folder for temporary files, or nil for the first writable one of `TMPDIR`, `/var/tmp` and `/tmp`.
    public var temporaryDirectory: String?

    /// Creates a configuration.
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

    /// The maximum size of the inputs as a list, in bytes; a shell may have expanded a glob to a very long list.
    private static let inputsLimit = 16 << 10

    /// The configuration as a JSON object of limited size; a very long list of inputs is reduced to its digest.
    package var json: JSONValue {
        let isLong = inputs.reduce(0) { $0 + $1.utf8.count + 3 } > Self.inputsLimit
        return [
            "directory": .optional(workingDirectory),
            "inputs": isLong ? .null : .array(inputs.map(JSONValue.string)),
            "inputs_digest": .string(Self.digest(of: inputs)),
            "format": .optional(format?.rawValue), "id_field": .optional(idField),
            "columns": .array(columns.sorted { $0.key < $1.key }.map { [.string($0.key), .string($0.value)] }),
            "shuffle": .bool(shuffle), "seed": .integer(seed),
            "max_records": maxRecords.map { .integer($0) } ?? .null,
        ]
    }

    /// Decodes a configuration; returns nil if the JSON is not one.
    ///
    /// ``inputs`` is empty if the list was too long to be encoded.
    package init?(json: JSONValue) {
        guard let shuffle = json["shuffle"]?.boolValue else { return nil }
        var seed: UInt64?
        if case .number(let digits)? = json["seed"] { seed = UInt64(digits) }
        let format = json["format"]?.stringValue
        func column(_ pair: JSONValue) -> (String, String)? {
            guard let pair = pair.arrayValue, pair.count == 2, let name = pair[0].stringValue else { return nil }
            return pair[1].stringValue.map { (name, $0) }
        }
        guard let seed, format.map({ SourceFormat(rawValue: $0) != nil }) != false else { return nil }
        self.init(
            inputs: json["inputs"]?.arrayValue?.compactMap(\.stringValue) ?? [],
            format: format.flatMap { SourceFormat(rawValue: $0) },
            idField: json["id_field"]?.stringValue,
            columns: Dictionary((json["columns"]?.arrayValue ?? []).compactMap(column)) { $1 },
            shuffle: shuffle,
            seed: seed,
            maxRecords: json["max_records"]?.intValue,
            workingDirectory: json["directory"]?.stringValue
        )
    }

    /// Returns a digest that distinguishes one list of inputs from another.
    package static func digest(of inputs: [String]) -> String {
        var hasher = ContentHasher()
        for input in inputs {
            hasher.update(input.utf8.count)
            hasher.update(Array(input.utf8))
        }
        return InputFingerprint.text(hasher.digest)
    }
}

extension SourceConfiguration {
    /// The names of fields of a record, as it is read, that can be its id, in order of preference.
    package var idFields: [String] { FieldRule(self).idFields }

    /// The value of ``idFields`` for records from a program.
    package static let defaultIDFields = SourceConfiguration(inputs: []).idFields
}

public import SheafCore

extension SourceConfiguration {
    /// How many bytes of inputs are written out one by one; a shell may have made a very long list of a glob.
    private static let inputsLimit = 16 << 10

    /// Where and how to read, as a JSON object of a bounded size: of very many inputs it has the number and a digest.
    public var json: JSONValue {
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

    /// Reads a configuration; nil where it is none.
    ///
    /// Its inputs are empty where they were too many to be written out.
    public init?(json: JSONValue) {
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

    /// Tells one list of inputs from another.
    public static func digest(of inputs: [String]) -> String {
        var hasher = ContentHasher()
        for input in inputs {
            hasher.update(input.utf8.count)
            hasher.update(Array(input.utf8))
        }
        return InputFingerprint.text(hasher.digest)
    }
}

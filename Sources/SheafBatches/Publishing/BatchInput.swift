public import SheafCore
public import SheafSources

/// How to read the records of a batch again, as its `created` entry says it.
public struct BatchInput: Sendable, Equatable {
    /// Which records were left out because they had succeeded in an earlier batch.
    public struct Skip: Sendable, Equatable {
        /// The earlier batch.
        public var batch: Name
        /// Where in its results log outcomes stopped to count.
        public var endOffset: Int64

        /// Makes a reference to an earlier batch.
        public init(batch: Name, endOffset: Int64) {
            self.batch = batch
            self.endOffset = endOffset
        }
    }

    /// What was read; nil where the records came from a program.
    public var source: SourceConfiguration?
    /// The digest of the inputs as they were given, which are missing in `source` where they were very many.
    public var inputsDigest: String
    /// What tells whether the input is still the same.
    public var fingerprint: InputFingerprint?
    /// Which records were left out.
    public var skip: Skip?
    /// Whether one bad record was to keep all from being published.
    public var isStrict: Bool
    /// The parameters that the flow had by default.
    public var defaults: JSONValue
    /// The machine that the paths are of.
    public var host: String

    /// Describes an input on this machine.
    public init(
        source: SourceConfiguration? = nil,
        fingerprint: InputFingerprint? = nil,
        skip: Skip? = nil,
        isStrict: Bool = false
    ) {
        self.source = source
        self.inputsDigest = source.map { SourceConfiguration.digest(of: $0.inputs) } ?? ""
        self.fingerprint = fingerprint
        self.skip = skip
        self.isStrict = isStrict
        self.defaults = [:]
        self.host = hostName
    }

    /// The description as a JSON object.
    public var json: JSONValue {
        [
            "host": .string(host), "source": source?.json ?? .null, "fingerprint": fingerprint?.json ?? .null,
            "skip": skip.map { ["batch": .string($0.batch.text), "end_offset": .integer($0.endOffset)] } ?? .null,
            "strict": .bool(isStrict), "parameters": defaults,
        ]
    }

    /// Reads a description; nil where it is none.
    public init?(json: JSONValue) {
        guard json.objectValue != nil else { return nil }
        source = json["source"].flatMap { SourceConfiguration(json: $0) }
        inputsDigest = json["source"]?["inputs_digest"]?.stringValue ?? ""
        fingerprint = json["fingerprint"].flatMap { InputFingerprint(json: $0) }
        if let name = json["skip"]?["batch"]?.stringValue.flatMap({ Name($0) }),
            let end = json["skip"]?["end_offset"]?.intValue
        {
            skip = Skip(batch: name, endOffset: Int64(end))
        }
        isStrict = json["strict"]?.boolValue ?? false
        defaults = json["parameters"] ?? [:]
        host = json["host"]?.stringValue ?? ""
    }
}

extension BatchInfo {
    /// How to read its records again, where its creator has said so.
    public var batchInput: BatchInput? { BatchInput(json: input) }

    /// The choices of parameters of each of its records, by which task and record numbers are related.
    func variants() throws(SheafError) -> ParameterVariants {
        do {
            return try ParameterVariants(defaults: batchInput?.defaults ?? [:], parameters: options.parameters)
        } catch {
            throw SheafError(.invalid, "batch '\(id)': \(error)")
        }
    }
}

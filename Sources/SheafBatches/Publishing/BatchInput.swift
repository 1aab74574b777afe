import BitCollections
import OrderedCollections
public import SheafCore
public import SheafSources

/// How to read the records of a batch again, as its `created` entry in the journal describes it.
public struct BatchInput: Sendable, Equatable {
    /// The records that were left out because they had succeeded in an earlier batch.
    public struct Skip: Sendable, Equatable {
        /// The earlier batch.
        package var batch: Name
        /// The offset in its results log before which outcomes counted.
        package var endOffset: Int64

        /// Creates a reference to an earlier batch.
        package init(batch: Name, endOffset: Int64) {
            self.batch = batch
            self.endOffset = endOffset
        }
    }

    /// The source that was read, or nil if the records came from a program.
    public var source: SourceConfiguration?
    /// The digest of the names of all inputs; `source` does not list them if there were very many.
    package var inputsDigest: String
    /// The fingerprint that shows whether the input is still the same.
    public var fingerprint: InputFingerprint?
    /// The records that were left out, or nil if none were.
    package var skip: Skip?
    /// Whether one unreadable record prevented the creation.
    public var isStrict: Bool
    /// The default parameters of the flow.
    package var defaults: JSONValue
    /// The digest of the request that created the batch, by which a repeat is recognized; nil if it had no key.
    package var request: String?
    /// The machine on which the paths are valid.
    package var host: String

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
    package var json: JSONValue {
        var members: OrderedDictionary<String, JSONValue> = [
            "host": .string(host), "source": source?.json ?? .null, "fingerprint": fingerprint?.json ?? .null,
            "skip": skip.map { ["batch": .string($0.batch.text), "end_offset": .integer($0.endOffset)] } ?? .null,
            "strict": .bool(isStrict), "parameters": defaults,
        ]
        if let request { members["request"] = .string(request) }
        return .object(members)
    }

    /// Decodes a description; returns nil if the value is not one.
    package init?(json: JSONValue) {
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
        request = json["request"]?.stringValue
        host = json["host"]?.stringValue ?? ""
    }
}

extension BatchInfo {
    /// How to read the records of the batch again, or nil if the creator did not record it.
    public var batchInput: BatchInput? { BatchInput(json: input) }

    /// The parameter variants of each record, which relate the numbers of tasks and records.
    func variants() throws(SheafError) -> ParameterVariants {
        do {
            return try ParameterVariants(defaults: batchInput?.defaults ?? [:], parameters: options.parameters)
        } catch {
            throw SheafError(.invalid, "batch '\(id)': \(error)")
        }
    }
}

/// The ids of the records of a batch whose tasks have all succeeded.
///
/// Reading them takes 24 bytes of memory per record and one bit per task; keeping them takes 16 bytes per record.
package struct SucceededRecords: Sendable {
    /// The batch, and the offset before which its outcomes count.
    package let skip: BatchInput.Skip
    /// The ids.
    package let ids: RecordIDSet
}

extension SheafClient {
    /// Finds the records of a batch whose tasks have all succeeded.
    ///
    /// - Parameters:
    ///   - reference: The id of the batch, or `last` for the newest.
    ///   - end: The offset of its results log up to which outcomes count, or nil for all.
    /// - Throws: ``SheafError`` with `notFound`, and `notNow` if the batch is still running (not ended, cancelled,
    ///   stopped or paused).
    package func succeededRecords(of reference: String, upTo end: Int64? = nil) async throws -> SucceededRecords {
        let results = try await BatchResults.open(client: self, reference: reference, ordered: false, upTo: end)
        let batch = results.batch
        if end == nil, batch.isRunnable {
            throw SheafError(
                .notNow,
                "batch '\(batch.id)' is still running; its successful records can be skipped once it has ended or is paused"
            )
        }
        let variants = try batch.variants().variants.count
        var seen: [(digest: RecordIDSet.Digest, index: UInt32)] = []
        var succeeded = BitSet()
        for try await outcomes in results {
            for outcome in outcomes {
                guard outcome.status == .succeeded else {
                    succeeded.remove(outcome.index)  // an earlier success was run again, and failed
                    continue
                }
                succeeded.insert(outcome.index)
                if outcome.index.isMultiple(of: variants) {
                    seen.append((RecordIDSet.Digest(outcome.recordID), UInt32(outcome.index)))
                }
            }
        }
        let whole = seen.lazy.filter { entry in
            (Int(entry.index)..<Int(entry.index) + variants).allSatisfy(succeeded.contains)
        }
        return SucceededRecords(
            skip: BatchInput.Skip(batch: batch.id, endOffset: results.end),
            ids: RecordIDSet(whole.map(\.digest))
        )
    }
}

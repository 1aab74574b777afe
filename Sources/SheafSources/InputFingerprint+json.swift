public import SheafCore

extension InputFingerprint {
    /// The fingerprint as a JSON object.
    public var json: JSONValue {
        [
            "files": .integer(files), "size": size.map { .integer($0) } ?? .null,
            "metadata": .string(Self.text(metadata)), "content": .optional(content.map(Self.text)),
            "listed": .array(
                listed.map { [.string($0.path), .integer($0.size), .integer($0.modified)] }
            ),
        ]
    }

    /// Reads a fingerprint; nil where it is none.
    public init?(json: JSONValue) {
        guard let files = json["files"]?.intValue, let metadata = json["metadata"]?.stringValue.flatMap(Self.number)
        else { return nil }
        self.init(
            files: files,
            size: json["size"]?.intValue,
            metadata: metadata,
            content: json["content"]?.stringValue.flatMap(Self.number),
            listed: (json["listed"]?.arrayValue ?? []).compactMap(Self.listedFile)
        )
    }

    private static func listedFile(_ json: JSONValue) -> ListedFile? {
        guard let parts = json.arrayValue, parts.count == 3, let path = parts[0].stringValue,
            let size = parts[1].intValue, let modified = parts[2].intValue
        else { return nil }
        return ListedFile(path: path, size: size, modified: modified)
    }

    /// A digest as 16 hexadecimal digits: JSON numbers lose some of 64 bits in many readers.
    static func text(_ digest: UInt64) -> String {
        let digits = String(digest, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func number(_ text: String) -> UInt64? { UInt64(text, radix: 16) }
}

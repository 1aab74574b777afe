package import SheafCore

/// A fingerprint of an input that detects changes cheaply.
public struct InputFingerprint: Sendable, Equatable {
    /// The number of files.
    package let files: Int
    /// The total size in bytes, or nil if the input includes standard input that is not kept.
    package let size: Int?
    /// The digest of the files' paths, sizes and modification times.
    package let metadata: UInt64
    /// The digest of the content, or nil if the content was not read for an index.
    ///
    /// It does not include files that are records as a whole, and the rest of a file after invalid JSON.
    package let content: UInt64?
    /// The first files, or all if they are few, to report which of them changed.
    package let listed: [ListedFile]

    /// Creates a fingerprint.
    package init(files: Int, size: Int?, metadata: UInt64, content: UInt64?, listed: [ListedFile] = []) {
        self.files = files
        self.size = size
        self.metadata = metadata
        self.content = content
        self.listed = listed
    }

    /// The properties of a file that are known without reading it.
    package struct ListedFile: Sendable, Equatable {
        /// The path as given or found; bytes that are not UTF-8 are replaced.
        package let path: String
        /// The size in bytes; 0 for a stream.
        package let size: Int
        /// The time of the last modification, in nanoseconds since 1970; 0 for a stream.
        package let modified: Int
    }

    /// Describes the differences from an earlier fingerprint of the same input, one string each; empty if there are
    /// none.
    package func changes(since earlier: InputFingerprint) -> [String] {
        if metadata == earlier.metadata, size == earlier.size, files == earlier.files {
            guard let content, let before = earlier.content, content != before else { return [] }
            return ["the content has changed, although names, sizes and times are the same"]
        }
        let named = namedChanges(since: earlier)
        if !named.isEmpty { return named }
        var changes: [String] = []
        if files != earlier.files { changes.append("the input has \(files) files; it had \(earlier.files)") }
        if let size, let before = earlier.size, size != before {
            changes.append("the input has \(size) bytes; it had \(before)")
        }
        return changes.isEmpty ? ["the name, size or time of one of the \(files) files has changed"] : changes
    }

    /// Describes the differences between the listed files.
    private func namedChanges(since earlier: InputFingerprint) -> [String] {
        let old = Dictionary(earlier.listed.map { ($0.path, $0) }) { first, _ in first }
        let new = Dictionary(listed.map { ($0.path, $0) }) { first, _ in first }
        var changes: [String] = []
        // A truncated list does not show which files were added or removed.
        let areComplete = listed.count == files && earlier.listed.count == earlier.files
        for file in earlier.listed where new[file.path] == nil && areComplete {
            changes.append("\(file.path): is missing")
        }
        for file in listed {
            guard let before = old[file.path] else {
                if areComplete { changes.append("\(file.path): is new") }
                continue
            }
            if file.size != before.size {
                changes.append("\(file.path): has \(file.size) bytes; it had \(before.size)")
            } else if file.modified != before.modified {
                changes.append("\(file.path): was changed since, although its size of \(file.size) bytes is the same")
            }
        }
        return changes
    }

    /// The fingerprint as a JSON object.
    package var json: JSONValue {
        [
            "files": .integer(files), "size": size.map { .integer($0) } ?? .null,
            "metadata": .string(Self.text(metadata)), "content": .optional(content.map(Self.text)),
            "listed": .array(
                listed.map { [.string($0.path), .integer($0.size), .integer($0.modified)] }
            ),
        ]
    }

    /// Decodes a fingerprint; returns nil if the JSON is not one.
    package init?(json: JSONValue) {
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

    /// Encodes a digest as 16 hexadecimal digits, since many JSON readers lose precision for 64-bit numbers.
    static func text(_ digest: UInt64) -> String {
        let digits = String(digest, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func number(_ text: String) -> UInt64? { UInt64(text, radix: 16) }
}

/// A digest of items in order, to detect whether a stream starts with the same items again.
///
/// It detects accidental changes, but not forgeries.
package struct ItemDigest: Sendable {
    private var hasher = ContentHasher()

    package init() {}

    /// Adds an item: its id and bytes, or its error.
    package mutating func add(_ item: SourceItem) {
        switch item.content {
        case .record(let record):
            add(Array(record.id.utf8))
            add(record.bytes)
        case .invalid(let message):
            add(Array(item.place.utf8))
            add(Array(message.utf8))
        }
    }

    private mutating func add(_ bytes: [UInt8]) {
        hasher.update(bytes.count)
        hasher.update(bytes)
    }

    /// The digest so far, as 16 hexadecimal digits.
    package var text: String { InputFingerprint.text(hasher.digest) }
}

extension InputFingerprint {
    /// What is different from an earlier fingerprint of the same input, one line each for people; empty where nothing is.
    public func changes(since earlier: InputFingerprint) -> [String] {
        if metadata == earlier.metadata, size == earlier.size, files == earlier.files {
            guard let content, let before = earlier.content, content != before else { return [] }
            return ["the content is another than it was, though names, sizes and times are the same"]
        }
        let named = namedChanges(since: earlier)
        if !named.isEmpty { return named }
        var changes: [String] = []
        if files != earlier.files { changes.append("\(files) files are there; there were \(earlier.files)") }
        if let size, let before = earlier.size, size != before {
            changes.append("the input has \(size) bytes; it had \(before)")
        }
        return changes.isEmpty ? ["a name, a size or a time among the \(files) files is another than it was"] : changes
    }

    /// What shows in the files that both list.
    private func namedChanges(since earlier: InputFingerprint) -> [String] {
        let old = Dictionary(earlier.listed.map { ($0.path, $0) }) { first, _ in first }
        let new = Dictionary(listed.map { ($0.path, $0) }) { first, _ in first }
        var changes: [String] = []
        // A list that was cut off says nothing of the files behind its end.
        let areComplete = listed.count == files && earlier.listed.count == earlier.files
        for file in earlier.listed where new[file.path] == nil && areComplete {
            changes.append("\(file.path): is gone")
        }
        for file in listed {
            guard let before = old[file.path] else {
                if areComplete { changes.append("\(file.path): is new") }
                continue
            }
            if file.size != before.size {
                changes.append("\(file.path): has \(file.size) bytes; it had \(before.size)")
            } else if file.modified != before.modified {
                changes.append("\(file.path): was changed since, though its size of \(file.size) bytes is the same")
            }
        }
        return changes
    }
}

import OrderedCollections
import SheafCore

/// What the importer of Vertex AI cannot read.
///
/// It makes a column of each key, and fails a whole job because of one line.
enum VertexImport {
    /// The most objects within each other.
    private static let maximumDepth = 15

    /// Returns why a line cannot be imported; nil if it can.
    static func problem(of line: JSONValue, id: String) -> String? {
        // A number would come back as another text.
        if Double(id) != nil { return "the id '\(id)' looks like a number" }
        return problem(of: line, depth: 1, path: "")
    }

    private static func problem(of value: JSONValue, depth: Int, path: String) -> String? {
        if let list = value.arrayValue {
            return list.lazy.compactMap { problem(of: $0, depth: depth, path: path) }.first
        }
        guard let object = value.objectValue else { return nil }
        if object.isEmpty { return "\(path) is an empty object" }
        if depth > maximumDepth { return "\(path) has more than \(maximumDepth) objects within each other" }
        for (key, member) in object {
            let place = path.isEmpty ? key : "\(path).\(key)"
            if key.isEmpty || key.contains(where: { $0 == "$" || $0.isWhitespace }) {
                return "the request has the key '\(place)', with a $, a space or nothing in it"
            }
            if key == "type", member.arrayValue != nil { return "\(place) is a list of types" }
            if let problem = problem(of: member, depth: depth + 1, path: place) { return problem }
        }
        return nil
    }
}

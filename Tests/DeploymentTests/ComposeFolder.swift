import Foundation
import OrderedCollections
import SheafCore
import Yams

/// The files below `compose/`.
enum ComposeFolder {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("compose").path

    /// The YAML files, by their paths in the folder.
    static let yamlFiles = (FileManager.default.enumerator(atPath: root)?.allObjects ?? []).compactMap { $0 as? String }
        .filter { $0.hasSuffix(".yaml") || $0.hasSuffix(".yml") }.sorted()

    /// The text of a file.
    static func text(_ file: String) throws -> String { try String(contentsOfFile: "\(root)/\(file)", encoding: .utf8) }

    /// The documents of a YAML file.
    static func documents(_ file: String) throws -> [JSONValue] {
        try Yams.load_all(yaml: try text(file)).map { try JSONValue(yaml: $0, in: file) }
    }
}

/// A value that a test file must not have.
struct UnexpectedYAML: Error {
    let file: String
    let value: String
}

extension JSONValue {
    /// Converts what the YAML parser returns.
    init(yaml value: Any, in file: String) throws {
        switch value {
        case let text as String: self = .string(text)
        case let flag as Bool: self = .bool(flag)
        case let number as Int: self = .integer(number)
        case let number as Double: self = .number("\(number)")
        case let list as [Any]: self = .array(try list.map { try JSONValue(yaml: $0, in: file) })
        case let map as [AnyHashable: Any]:
            var members: OrderedDictionary<String, JSONValue> = [:]
            for (key, member) in map {
                guard let name = key as? String else { throw UnexpectedYAML(file: file, value: "the key \(key)") }
                members[name] = try JSONValue(yaml: member, in: file)
            }
            self = .object(members)
        case is NSNull: self = .null
        default: throw UnexpectedYAML(file: file, value: "\(value)")
        }
    }

    /// The value at a path of members such as `spec.template`.
    func at(_ path: String) -> JSONValue? {
        path.split(separator: ".").reduce(self as JSONValue?) { value, name in value?[String(name)] }
    }

    /// The elements at a path of members, or none.
    func list(_ path: String) -> [JSONValue] { at(path)?.arrayValue ?? [] }

    /// The string at a path of members, or nil.
    func text(_ path: String) -> String? { at(path)?.stringValue }
}

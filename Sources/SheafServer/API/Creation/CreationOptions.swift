import Hummingbird
import OrderedCollections
import SheafCore
import SheafFormats
import SheafSettings
import SheafSources

/// The options of a request that creates a batch, from a JSON body, a query or the fields of a form.
struct CreationOptions: Sendable {
    /// The flow.
    private(set) var flow = ""
    /// What was chosen for the batch.
    private(set) var choices = BatchChoices()
    /// Whether the flow's own source is asked for.
    private(set) var readsSource = false
    /// Whether only a preview is wanted.
    private(set) var isDryRun = false
    /// All options but `dry_run` as JSON, in an order that does not depend on the request.
    private(set) var canonical: JSONValue = [:]
    private var pilotPass: Double?

    /// The members by their names in messages.
    static let names = [
        "flow", "records", "source", "parameters", "shuffle", "seed", "max_records", "concurrency", "error_policy",
        "interactive", "strict", "tags", "notify", "batch_id", "format", "id_field", "dry_run", "pilot", "pilot_pass",
        "dedupe",
    ]
    private static let aliases = ["flow_name": "flow", "flow_parameters": "parameters"]

    /// Reads the options from members; null means that an option was not given.
    ///
    /// - Throws: `HTTPError` with 422 that names the member.
    init(_ members: [(name: String, value: JSONValue)]) throws {
        var known: OrderedDictionary<String, JSONValue> = [:]
        for (given, value) in members {
            let name = Self.aliases[given] ?? given
            guard Self.names.contains(name), name != "records" else { throw Self.unknown(given) }
            guard known.updateValue(value, forKey: name) == nil else {
                throw Self.refusal(given, "it is given twice\(name == given ? "" : ", also as '\(name)'")")
            }
            if value != .null { try take(name, value) }
        }
        if flow.isEmpty { throw Self.refusal("flow", "it is missing") }
        if choices.shuffle == false, choices.seed != nil {
            throw Self.refusal("seed", "it has no meaning with \"shuffle\": false")
        }
        if let pilotPass {
            guard choices.pilot != nil else { throw Self.refusal("pilot_pass", "it has no meaning without pilot") }
            choices.pilot?.pass = pilotPass
        }
        known["dry_run"] = nil
        known = known.filter { $0.value != .null }
        known.sort { $0.key < $1.key }
        canonical = .object(known)
    }

    /// Returns the error for an option that is refused.
    static func refusal(_ name: String, _ problem: String) -> HTTPError {
        HTTPError(.unprocessableContent, message: "\(name): \(problem)")
    }

    private static func unknown(_ name: String) -> HTTPError {
        let all = names + aliases.keys.sorted()
        let shown = String(name.prefix(80))
        let hint = Suggestion.text(for: shown, among: all)
        return HTTPError(
            .unprocessableContent,
            message: "unknown member '\(shown)'\(hint); known members are \(all.joined(separator: ", "))"
        )
    }

    private mutating func take(_ name: String, _ value: JSONValue) throws {
        switch name {
        case "flow": flow = try Self.text(name, value)
        case "source": readsSource = try source(value)
        case "dry_run": isDryRun = try Self.flag(name, value)
        case "parameters":
            guard value.objectValue != nil else { throw Self.refusal(name, "it must be an object") }
            choices.parameters = value
        case "shuffle": choices.shuffle = try Self.flag(name, value)
        case "seed":
            guard case .number(let digits) = value, let seed = UInt64(digits) else {
                throw Self.refusal(name, "it must be an integer from 0 to \(UInt64.max)")
            }
            choices.seed = seed
        case "max_records": choices.maxRecords = try Self.count(name, value)
        case "concurrency":
            choices.concurrency = try Self.count(name, value, atMost: BatchOptions.runningLimits.upperBound)
        case "pilot":
            choices.pilot = Pilot(tasks: try Self.count(name, value, atMost: Pilot.sizes.upperBound))
        case "pilot_pass":
            guard let pass = Pilot.percentage(try Self.text(name, value)) else {
                throw Self.refusal(name, "it must be \(Pilot.passRule)")
            }
            pilotPass = pass
        case "error_policy":
            guard let policy = ErrorPolicy(try Self.text(name, value)) else {
                throw Self.refusal(name, "it must be \(ErrorPolicy.rule)")
            }
            choices.errorPolicy = policy
        case "interactive": choices.interactive = try Self.flag(name, value)
        case "strict": choices.strict = try Self.flag(name, value)
        case "dedupe": choices.deduplication = .some(try deduplication(value))
        case "tags": choices.tags = try tags(value)
        case "notify": choices.notify = try urls(value)
        case "batch_id":
            guard let id = Name(try Self.text(name, value)) else { throw Self.refusal(name, "it must be \(Name.rule)") }
            choices.batchID = id
        case "format":
            guard let format = SourceFormat(rawValue: try Self.text(name, value)), format != .files else {
                let known = SourceFormat.allCases.filter { $0 != .files }.map(\.rawValue).joined(separator: ", ")
                throw Self.refusal(name, "it must be one of \(known)")
            }
            choices.format = format
        case "id_field": choices.idField = try Self.text(name, value)
        default: break
        }
    }

    private func source(_ value: JSONValue) throws -> Bool {
        guard let flag = value.boolValue else {
            throw Self.refusal(
                "source",
                "it must be true, for the flow's own source; send other records with the request"
            )
        }
        return flag
    }

    private func deduplication(_ value: JSONValue) throws -> Deduplication? {
        if value == .bool(false) { return nil }
        guard let rule = Deduplication(json: value) else {
            throw Self.refusal("dedupe", "it must be \(Deduplication.rule)")
        }
        return rule
    }

    private func tags(_ value: JSONValue) throws -> [String: String] {
        guard let members = value.objectValue else { throw Self.refusal("tags", "it must be an object of strings") }
        var tags: [String: String] = [:]
        for (key, member) in members {
            guard let text = member.stringValue else {
                throw Self.refusal("tags", "the value of '\(key.prefix(80))' must be a string")
            }
            tags[key] = text
        }
        if let problem = Tags.problem(of: tags) { throw Self.refusal("tags", problem) }
        return tags
    }

    private func urls(_ value: JSONValue) throws -> [String] {
        let urls = try (value.arrayValue ?? [value]).map { try Self.text("notify", $0) }
        if let wrong = urls.first(where: { !BatchDefaults.isURL($0) }) {
            throw Self.refusal("notify", "'\(wrong.prefix(80))' is not an http or https URL")
        }
        guard urls.count <= BatchOptions.maximumURLs else {
            throw Self.refusal("notify", "at most \(BatchOptions.maximumURLs) URLs are notified")
        }
        return urls
    }

    private static func text(_ name: String, _ value: JSONValue) throws -> String {
        guard let text = value.stringValue, !text.isEmpty, text.utf8.count <= 1024 else {
            throw refusal(name, "it must be a string of 1 to 1024 bytes")
        }
        return text
    }

    private static func flag(_ name: String, _ value: JSONValue) throws -> Bool {
        guard let flag = value.boolValue else { throw refusal(name, "it must be true or false") }
        return flag
    }

    private static func count(_ name: String, _ value: JSONValue, atMost limit: Int = .max) throws -> Int {
        guard let count = value.intValue, count > 0, count <= limit else {
            throw refusal(name, "it must be an integer \(limit == .max ? "of at least 1" : "from 1 to \(limit)")")
        }
        return count
    }
}

extension CreationOptions {
    /// Converts the pairs of a query or a form to members; an empty value means that an option was not given.
    ///
    /// `tag=key=value`, `parameter=name=value` and `notify=URL` may be repeated, as with the command.
    static func members(of pairs: [(name: String, text: String)]) throws -> [(name: String, value: JSONValue)] {
        var members: [(name: String, value: JSONValue)] = []
        var tags: OrderedDictionary<String, JSONValue> = [:]
        var parameters: OrderedDictionary<String, JSONValue> = [:]
        var urls: [JSONValue] = []
        for (name, text) in pairs where !text.isEmpty {
            switch name {
            case "tag":
                guard let tag = Tags.parse(text) else { throw refusal(name, "it must be \(Tags.rule)") }
                tags[tag.key] = .string(tag.value)
            case "parameter":
                guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                    throw refusal(name, "it must be name=value; the value is JSON if it is valid, else a string")
                }
                let value = String(text[text.index(after: equals)...])
                parameters[String(text[..<equals])] = (try? JSON.parse(value)) ?? .string(value)
            case "notify": urls.append(.string(text))
            case "parameters", "flow_parameters", "tags":
                do {
                    members.append((name, try JSON.parse(text)))
                } catch {
                    throw refusal(name, "it is not valid JSON: \(error)")
                }
            case "dedupe":
                let names = text.split(separator: ",", omittingEmptySubsequences: false)
                members.append((name, Bool(text).map { .bool($0) } ?? .array(names.map { .string(String($0)) })))
            case "shuffle", "strict", "interactive", "source", "dry_run":
                members.append((name, text == "true" ? true : text == "false" ? false : .string(text)))
            case "seed", "max_records", "concurrency", "pilot":
                members.append((name, UInt64(text).map { .integer($0) } ?? .string(text)))
            default: members.append((name, .string(text)))
            }
        }
        if !tags.isEmpty { members.append(("tags", .object(tags))) }
        if !parameters.isEmpty { members.append(("parameters", .object(parameters))) }
        if !urls.isEmpty { members.append(("notify", .array(urls))) }
        return members
    }
}

import SheafCore
import SheafDispatch
package import SheafRedis

/// Where the requests of a dispatcher wait if not in the broker: a list or a stream of Redis or Valkey.
package struct RedisQueueSettings: Sendable {
    /// The server.
    package let url: RedisURL
    /// The name of the list or stream.
    package let key: String
    /// Whether it is a list or a stream.
    package let kind: RedisRequestQueueConfiguration.Kind
}

/// Reads the `queue` of each entry of `dispatch:`, before flows are read: programs must not see its variables.
struct DispatchQueues {
    /// The variables of the environment in the URLs.
    private(set) var variables: Set<String> = []
    private var urls: [String: RedisURL] = [:]

    private static let rule = RedisURL.rule

    init(_ reader: SettingsReader?, environment: [String: String]) throws(SettingsError) {
        for entry in try reader?.members("a map of dispatchers by name") ?? [] where !entry.value.node.isNull {
            let members = try entry.value.members("a map")
            guard let member = members.first(where: { $0.name == "queue" })?.value else { continue }
            var text = try member.nonEmptyText(Self.rule)
            if case .file = member.node.origin {
                let expanded = try member.expanded(text, environment)
                text = expanded.text
                variables.formUnion(expanded.variables)
            }
            do {
                urls[entry.name] = try RedisURL(text)
            } catch {
                throw member.error(error.message)
            }
        }
    }

    /// Returns the queue of a dispatcher, or nil if its requests wait in the broker.
    func queue(of name: Name, _ members: [String: SettingsReader]) throws(SettingsError) -> RedisQueueSettings? {
        guard let url = urls[name.text] else {
            if let member = members["queue_key"] ?? members["queue_type"] {
                throw member.error("it needs a 'queue' of Redis: \(Self.rule)")
            }
            return nil
        }
        var kind = RedisRequestQueueConfiguration.Kind.list
        if let member = members["queue_type"] {
            guard let wanted = RedisRequestQueueConfiguration.Kind(rawValue: try member.text("list or stream")) else {
                throw member.expected("list or stream")
            }
            kind = wanted
        }
        let key = try members["queue_key"]?.nonEmptyText("the name of a list or stream in Redis") ?? name.text
        return RedisQueueSettings(url: url, key: key, kind: kind)
    }
}

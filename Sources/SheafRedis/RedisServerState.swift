import SheafDispatch

/// What a Redis or Valkey server says about itself, as far as it matters for a queue.
package struct RedisServerState: Sendable {
    /// The program and its version, such as `redis 7.0.15`.
    package let version: String
    /// Whether what is written survives a crash of the server (`appendonly yes`).
    package let isDurable: Bool
    /// Whether the server may delete keys when its memory is full.
    package let evicts: Bool
    /// The type of the queue's key: `none` if it does not exist yet.
    package let type: String

    /// Connects and asks; throws ``RequestQueueError`` with `unreachable` or `refused`.
    package static func read(_ url: RedisURL, key: String) async throws -> RedisServerState {
        let client = RedisClient(url: url)
        defer { client.close() }
        let replies = try await client.send([RedisCommand("TYPE", key), RedisCommand("INFO")], for: .zero)
        var values: [String: String] = [:]
        for line in (replies[1].text ?? "").split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { values[String(parts[0])] = String(parts[1]) }
        }
        let version =
            values["valkey_version"].map { "valkey \($0)" } ?? values["redis_version"].map { "redis \($0)" } ?? "redis"
        return RedisServerState(
            version: version,
            isDurable: values["aof_enabled"] == "1",
            evicts: values["maxmemory_policy"].map { $0 != "noeviction" } ?? false,
            type: replies[0].text ?? "none"
        )
    }
}

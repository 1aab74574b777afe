public import SheafCore
public import SheafDispatch

extension RedisRequestQueue: SearchableRequestQueue {
    /// How often a waiting sender looks whether its request is in a batch; Redis does not say so.
    private static let lookInterval = Duration.milliseconds(500)

    /// Compares requests with those that Redis remembers, the newest 100,000.
    public func repeats(of requests: [Record]) async throws -> [RequestRepeat] {
        try await update()
        var repeats: [RequestRepeat] = []
        for start in stride(from: 0, to: requests.count, by: RedisScript.chunk) {
            let chunk = requests[start..<min(start + RedisScript.chunk, requests.count)]
            let ids = chunk.map { Array($0.id.utf8) }
            let command = RedisCommand([Array("HMGET".utf8), Array("\(prefix)seen".utf8)] + ids)
            for (request, known) in zip(chunk, try await redis.send([command])[0].array) {
                guard let digest = known.bytes?.prefix(RequestElement.digestSize) else {
                    repeats.append(.new)
                    continue
                }
                repeats.append(digest.elementsEqual(RequestElement.digest(of: request)) ? .same : .other)
            }
        }
        return repeats
    }

    /// Returns where a request is, or nil if Redis does not remember it.
    ///
    /// - Parameters:
    ///   - id: The id of the request.
    ///   - deeply: Without effect: Redis has nothing else to search.
    public func place(of id: String, deeply: Bool) async throws -> RequestPlace? {
        try await update()
        guard let known = try await redis.send("HGET", prefix + "seen", id).bytes else { return nil }
        let noted = Name(String(decoding: known.dropFirst(RequestElement.digestSize), as: UTF8.self))
        let batch = if let noted { noted } else { try await unfinishedBatch(of: id) }
        return batch.map { .batch($0) } ?? .waiting
    }

    /// A stream with an element at first, and whenever requests may have been put into a batch.
    public nonisolated func placements() -> AsyncStream<Void> {
        AsyncStream { continuation in
            let looking = Task {
                while !Task.isCancelled {
                    continuation.yield()
                    try? await Task.sleep(for: Self.lookInterval)
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in looking.cancel() }
        }
    }

    /// Returns the batch of the group that is not finished, if it has a request with this id.
    private func unfinishedBatch(of id: String) async throws -> Name? {
        let group = try await redis.send("HMGET", prefix + "state", "batch", "group_key", "group_count").array
        guard group.count == 3, let batch = group[0].text.flatMap({ Name($0) }), let lane = group[1].text,
            let count = group[2].integer
        else { return nil }
        for start in stride(from: 0, to: count, by: 1000) {
            let end = String(min(start + 1000, count) - 1)
            let notes = try await redis.send("LRANGE", prefix + "notes:" + lane, String(start), end).array
            let isFound = notes.contains { note in
                let parts = note.text?.split(separator: " ", maxSplits: 3) ?? []
                return parts.count == 4 && parts[2] == "0" && parts[3] == id
            }
            if isFound { return batch }
        }
        return nil
    }
}

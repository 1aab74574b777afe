import Foundation
import Sheaf
import SheafCore
import SheafDispatch
import SheafSources
import SheafTestTools
import SheafTesting
import Synchronization
import Testing

@testable import SheafRedis

typealias Kind = RedisRequestQueueConfiguration.Kind

/// A queue of a test, and the clock of its process.
struct Scene: Sendable {
    let server: RedisServer
    let clock = ManualClock()
    var configuration = RedisRequestQueueConfiguration()

    init(_ server: RedisServer, _ kind: Kind) {
        self.server = server
        configuration.kind = kind
        configuration.queueKey = "requests"
        configuration.clock = { [clock] in clock.now }
    }

    /// Runs the body with a queue as another process opens it.
    func queue<Value>(_ body: (RedisRequestQueue) async throws -> Value) async throws -> Value {
        let queue = try await RedisRequestQueue.open(
            url: try server.url,
            name: "reviews",
            configuration: configuration
        )
        do {
            let value = try await body(queue)
            await queue.close()
            return value
        } catch {
            await queue.close()
            throw error
        }
    }

    /// Claims a group with the requests that are known after an update.
    func claim(_ queue: RedisRequestQueue, _ rules: DispatchRules) async throws -> RequestGroup? {
        try await queue.update()
        return try await queue.claim(rules, at: clock.now)
    }

    /// Returns the items of everything that waits, after a flush.
    func drain(_ queue: RedisRequestQueue) async throws -> [SourceItem] {
        try await queue.flush()
        var items: [SourceItem] = []
        while let group = try await claim(queue, DispatchRules()) {
            for try await chunk in try await queue.requests(of: group, from: 0) { items += chunk }
            try await queue.finish(group)
        }
        return items
    }
}

/// A clock that a test sets.
final class ManualClock: Sendable {
    private let time = Mutex(Timestamp(milliseconds: 1_800_000_000_000))

    var now: Timestamp { time.withLock { $0 } }

    func pass(_ duration: Duration) { time.withLock { $0 = $0 + duration } }
}

extension SourceItem {
    /// The bytes of a record as text, or the message of an invalid item.
    var text: String {
        switch content {
        case .record(let record): String(decoding: record.bytes, as: UTF8.self)
        case .invalid(let message): message
        }
    }

    var isRecord: Bool { if case .record = content { true } else { false } }
}

@Suite("Requests of other programs in Redis")
struct ForeignSenderTests {
    @Test("Elements that other programs push keep their ids, or get stable ones")
    func elements() async throws {
        try await RedisServer.with { server in
            let scene = Scene(server, .list)
            try await server.cli(
                "rpush",
                "requests",
                #"{"id":"a","n":1}"#,
                #"{"n":2}"#,
                #"{"n":2}"#,
                #"{"record_id":7}"#
            )
            try await server.cli("rpush", "requests", #"["no", "object"]"#, #"{"id":"a","n":1}"#)
            var group: RequestGroup?
            var first: [SourceItem] = []
            try await scene.queue { queue in
                try await queue.flush()
                group = try await scene.claim(queue, DispatchRules())
                for try await chunk in try await queue.requests(of: try #require(group), from: 0) { first += chunk }
            }
            // The process died here; the next one finds the same group.
            try await scene.queue { queue in
                let again = try #require(try await scene.claim(queue, DispatchRules(queueThreshold: 1)))
                #expect(again == group)
                let batch = again.batch.text
                var items: [SourceItem] = []
                for try await chunk in try await queue.requests(of: again, from: 0) { items += chunk }
                #expect(items == first)
                #expect(items.map(\.place) == ["a", "\(batch).1", "\(batch).2", "7", "\(batch).4"])
                #expect(
                    items.map(\.text)[1...2] == [#"{"n":2}"#, #"{"n":2}"#],
                    "equal requests without ids both count"
                )
                try await queue.finish(again)
            }
        }
    }

    @Test("Entries that other programs add have their field data, or all fields, as the request")
    func entries() async throws {
        try await RedisServer.with { server in
            let scene = Scene(server, .stream)
            try await server.cli("xadd", "requests", "1-1", "data", #"{"n":1}"#)
            try await server.cli("xadd", "requests", "2-1", "data", #"{"id":"own","n":2}"#)
            try await server.cli("xadd", "requests", "3-1", "name", "Ada", "city", "Wien")
            try await server.cli("xadd", "requests", "4-1", "id", "field", "data", #"{"n":4}"#)
            try await server.cli("xadd", "requests", "5-1", "data", "plain", "kind", "text")
            try await scene.queue { queue in
                #expect(try await queue.waiting().oldest == Timestamp(milliseconds: 1), "the id has the time")
                let pending = try await server.cli("xpending", "requests", "sheaf")
                #expect(pending.hasPrefix("5\n"), "other programs see what is held: \(pending)")
                let items = try await scene.drain(queue)
                #expect(items.map(\.place) == ["1-1", "own", "3-1", "field", "5-1"])
                #expect(items[2].text == #"{"name":"Ada","city":"Wien"}"#)
                #expect(items[4].content == .record(Record(id: "5-1", kind: .text, bytes: Array("plain".utf8))))
                #expect(try await server.cli("xlen", "requests") == "0\n")
                #expect(try await server.cli("xpending", "requests", "sheaf").hasPrefix("0\n"))
            }
        }
    }

    @Test("Bad requests become invalid items, and the others go on", arguments: Kind.allCases)
    func bad(kind: Kind) async throws {
        try await RedisServer.with { server in
            var scene = Scene(server, kind)
            scene.configuration.key = "tenant"
            let large = #"{"tenant":"a","text":""# + String(repeating: "x", count: 10 << 20) + "\"}"
            let bodies = [
                #"{"id":"1","tenant":"a"}"#, "not json", large, #"{"id":"4"}"#, #"{"id":"1","tenant":"a","n":2}"#,
                #"{"id":""# + String(repeating: "y", count: 300) + #"","tenant":"a"}"#, #"{"id":"7","tenant":"a"}"#,
            ]
            for body in bodies {
                let command = kind == .list ? ["rpush", "requests"] : ["xadd", "requests", "*", "data"]
                try await server.cli(["-x"] + command, input: Data(body.utf8))
            }
            try await scene.queue { queue in
                #expect(try await queue.waiting().count == 7)
                let items = try await scene.drain(queue)
                #expect(items.count == 7)
                #expect(Set(items.filter(\.isRecord).map(\.place)) == ["1", "7"])
                let complaints = items.filter { !$0.isRecord }.map(\.text)
                for part in [
                    "it is missing", "not JSON", "the limit is 1048576", "its id has 300 bytes", "other content",
                ] {
                    #expect(complaints.contains { $0.contains(part) }, "\(part) in \(complaints)")
                }
            }
        }
    }

    @Test("What another consumer of the group holds is taken over; what was removed becomes an invalid item")
    func orphans() async throws {
        try await RedisServer.with { server in
            var scene = Scene(server, .stream)
            scene.configuration.idleTime = .zero
            try await scene.queue { queue in
                try await queue.update()
                for number in 1...4 {
                    try await server.cli("xadd", "requests", "\(number)-1", "data", "{\"n\":\(number)}")
                }
                // Another program reads two entries as a consumer of the group, and dies.
                try await server.cli("xreadgroup", "group", "sheaf", "dead", "count", "2", "streams", "requests", ">")
                #expect(try await queue.waiting().count == 4)
                try await server.cli("xdel", "requests", "3-1")
                let items = try await scene.drain(queue)
                #expect(Set(items.map(\.place)) == ["1-1", "2-1", "3-1", "4-1"])
                let removed = items.filter { !$0.isRecord }
                #expect(removed.map(\.place) == ["3-1"])
                #expect(removed.first?.text.contains("removed from the stream") == true)
            }
        }
    }

    @Test("A request in a list never waits longer than its age allows, also if no process looked meanwhile")
    func ages() async throws {
        try await RedisServer.with { server in
            let scene = Scene(server, .list)
            var generator = SeededGenerator(state: 7)
            let threshold = Duration.seconds(60)
            var arrivals: [String: Timestamp] = [:]
            var number = 0
            var queue: RedisRequestQueue?
            func open() async throws -> RedisRequestQueue {
                try await RedisRequestQueue.open(
                    url: try server.url,
                    name: "reviews",
                    configuration: scene.configuration
                )
            }
            queue = try await open()
            for step in 0..<250 {
                scene.clock.pass(.milliseconds(Int.random(in: 0...9000, using: &generator)))
                if Int.random(in: 0..<2, using: &generator) == 0 {
                    let ids = (0..<Int.random(in: 1...8, using: &generator)).map { _ in
                        number += 1
                        return "r\(number)"
                    }
                    try await server.cli(["rpush", "requests"] + ids.map { "{\"id\":\"\($0)\"}" })
                    for id in ids { arrivals[id] = scene.clock.now }
                }
                if step % 40 == 39 {
                    await queue?.close()  // the dispatcher is away for some steps
                    queue = nil
                }
                if step % 40 == 9, queue == nil { queue = try await open() }
                guard let queue else { continue }
                while let group = try await scene.claim(queue, DispatchRules(timeThreshold: threshold)) {
                    for try await items in try await queue.requests(of: group, from: 0) {
                        for item in items { arrivals[item.place] = nil }
                    }
                    try await queue.finish(group)
                }
                for (id, arrival) in arrivals {
                    #expect(scene.clock.now - arrival < threshold, "\(id) is \(scene.clock.now - arrival) old")
                }
            }
            await queue?.close()
            #expect(number > 400)
        }
    }

    @Test("A queue remembers as many ids as it should")
    func window() async throws {
        try await RedisServer.with { server in
            var scene = Scene(server, .list)
            scene.configuration.window = 50
            try await scene.queue { queue in
                let all = (0..<1200).map { Record(id: "r\($0)", kind: .json, bytes: [0x31]) }
                try await queue.add(all)
                try await queue.add(Array(all.suffix(50)))
                #expect(try await queue.waiting().count == 1200)
                #expect(try await server.cli("hlen", "{requests}:sheaf:seen") == "50\n")
                try await queue.add([all[0]])
                #expect(try await queue.waiting().count == 1201)
            }
        }
    }
}

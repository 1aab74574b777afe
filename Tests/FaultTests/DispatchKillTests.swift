import Foundation
import Glibc
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// A hundred dispatchers killed while three senders add 100,000 requests, with the real command.
@Suite(.serialized, .timeLimit(.minutes(20))) struct DispatchKillTests {
    /// Where requests wait.
    enum Queue: String, CaseIterable, CustomTestStringConvertible {
        case embedded, rabbitMQ, redisList, redisStream

        var testDescription: String { rawValue }
        var broker: BrokerKind { self == .rabbitMQ ? .rabbitMQ : .embedded }
        var isInRedis: Bool { self == .redisList || self == .redisStream }
    }

    private static let senders = 3
    private static let parts = 17
    private static let partSize = 2_000
    private static let kills = 100
    /// After how many kills Redis is killed and started again.
    private static let restarts: Set = [30, 60]

    @Test("100 killed dispatchers lose and repeat none of 100,000 requests", arguments: Queue.allCases)
    func hundredKills(queue: Queue) async throws {
        try await RedisServer.with { redis in
            try await Site.with(queue.broker) { site in
                let start = ContinuousClock.now
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for sender in 0..<Self.senders {
                        group.addTask { try await Self.send(as: sender, to: queue, redis, site) }
                    }
                    try await Self.kill(at: site, queue, redis)
                    while try await group.next() != nil {}
                }
                let set = Self.set(queue, redis)
                try await site.bench.until("nothing waits", limit: .seconds(120)) {
                    let run = try await site.bench.sheaf(["dispatch", "--flush"] + set, limit: .seconds(300))
                    #expect([0, 4].contains(run.code), "\(run.talk)")
                    let list = try await site.bench.sheaf(["requests", "--json"] + set, limit: .seconds(120)).json
                    return run.code == 0 && !run.talk.contains("another process")
                        && list.arrayValue?.first?["waiting"] == 0
                }
                let batches = try await Self.check(site)
                print("\(queue.rawValue): \(Self.kills) kills, \(batches) batches, \(ContinuousClock.now - start)")
            }
        }
    }

    private static func set(_ queue: Queue, _ redis: RedisServer) -> [String] {
        let rules = #""flow":"echo","queue_threshold":1500,"time_threshold":"1s","time_interval":"100ms""#
        let type = queue == .redisList ? "list" : "stream"
        let place =
            queue.isInRedis
            ? #","queue":"\#(redis.address)","queue_key":"requests","queue_type":"\#(type)""# : ""
        return ["--set", "dispatch={\"reviews\":{\(rules)\(place)}}"]
    }

    /// Adds requests part by part, every third part twice, and in between kills the command that adds a part.
    private static func send(as sender: Int, to queue: Queue, _ redis: RedisServer, _ site: Site) async throws {
        var random = SeededGenerator(state: UInt64(sender))
        for part in 0..<parts {
            let bodies = (part * partSize..<(part + 1) * partSize).map { #"{"id":"s\#(sender)-\#($0)","n":\#($0)}"# }
            if queue.isInRedis {
                for _ in 0..<(part % 3 == 0 ? 2 : 1) {
                    // While Redis is down, a sender tries again; what was stored before is a repeat.
                    try await site.bench.until("part \(part) is sent", limit: .seconds(60)) {
                        do {
                            try await redis.send(bodies, asList: queue == .redisList, to: "requests")
                            return true
                        } catch is TestToolError {
                            return false
                        }
                    }
                }
            } else {
                let file = "\(sender)-\(part).jsonl"
                try site.bench.write(bodies.map { $0 + "\n" }.joined(), to: file)
                let add = ["requests", "add", "reviews", file] + set(queue, redis)
                if part % 3 == 0 {
                    let time = Duration.milliseconds(Int.random(in: 50...900, using: &random))
                    _ = try await site.bench.sheaf(add, limit: .seconds(120)) { number in
                        try await Task.sleep(for: time)
                        Glibc.kill(number, SIGKILL)
                    }
                }
                let run = try await site.bench.sheaf(add, limit: .seconds(120))
                #expect(run.code == 0 && run.lines.count == partSize, "\(run.talk)")
            }
            try await Task.sleep(for: .seconds(Double.random(in: 0...6, using: &random)))
        }
    }

    private static func kill(at site: Site, _ queue: Queue, _ redis: RedisServer) async throws {
        var random = SeededGenerator(state: 7)
        for number in 0..<kills {
            let time = Duration.milliseconds(Int.random(in: 100...1_200, using: &random))
            let run = try await site.bench.sheaf(["dispatch"] + set(queue, redis)) { process in
                try await Task.sleep(for: time)
                Glibc.kill(process, SIGKILL)
            }
            #expect(run.code == 137, "\(run.talk)")
            if !queue.isInRedis { continue }
            if restarts.contains(number) {
                redis.kill()
                try await redis.start()
            }
            // The next one need not wait for the end of the lock.
            try await redis.cli("del", "{requests}:sheaf:lock")
        }
    }

    /// Checks that each request is in one batch and has run once; returns the number of batches.
    private static func check(_ site: Site) async throws -> Int {
        #expect(try await site.work("-c", "4").allSatisfy { $0.code == 0 })
        var seen: [String: Int] = [:]
        let batches = try await site.sheaf("list", "--json").json.arrayValue ?? []
        for batch in batches {
            let id = try #require(batch["batch_id"]?.stringValue)
            #expect(batch["status"] == "completed", "\(id)")
            for row in try await site.rows(of: id) { seen[row["record_id"]?.stringValue ?? "", default: 0] += 1 }
        }
        #expect(seen.count == senders * parts * partSize)
        #expect(seen.values.allSatisfy { $0 == 1 })
        return batches.count
    }
}

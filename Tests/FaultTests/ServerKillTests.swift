import Glibc
import Sheaf
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// Two servers killed fifty times while clients use every part of the API, with the real command.
@Suite(.serialized, .timeLimit(.minutes(15))) struct ServerKillTests {
    private static let kills = 50
    /// The records of a batch of `echo`, enough for some kills to hit a creation.
    private static let large = 3_000
    /// The records of a batch of `fixable`, of which every tenth fails.
    private static let small = 40
    /// What readers ask for; `ID` stands for a batch.
    private static let paths = [
        "/", "/workers", "/flows", "/questions", "/dead", "/batches/ID", "/batches/ID/tasks", "/batches/ID/journal",
        "/api/batches", "/api/batches/ID", "/api/batches/ID/jobs", "/api/batches/ID/errors", "/api/batches/ID/results",
        "/api/batches/ID/journal", "/api/workers", "/api/flows", "/api/questions", "/api/dead", "/api/scaling",
        "/metrics", "/healthz",
    ]

    /// What was asked for, and what was answered.
    private actor Ledger {
        private(set) var batches: [String: String] = [:]
        private(set) var cancelled: Set<String> = []
        private(set) var retries = 0
        private(set) var isOver = false
        private var keys = 0

        func nextKey() -> (key: String, flow: String, records: Int)? {
            guard !isOver else { return nil }
            keys += 1
            return keys.isMultiple(of: 3)
                ? ("key-\(keys)", "echo", ServerKillTests.large) : ("key-\(keys)", "fixable", ServerKillTests.small)
        }

        func note(_ batch: String, of key: String) { batches[key] = batch }
        func cancel(_ batch: String) { cancelled.insert(batch) }
        func retry() { retries += 1 }
        func end() { isOver = true }
    }

    @Test("50 killed servers lose no batch, make none twice and keep exact counts", arguments: BrokerKind.allCases)
    func fiftyKills(kind: BrokerKind) async throws {
        try await Site.with(kind) { site in
            let start = ContinuousClock.now
            let crew = ServerCrew(site)
            let ledger = Ledger()
            try await withThrowingTaskGroup(of: Void.self) { workers in
                for _ in 0..<2 {
                    workers.addTask { try await site.bench.sheaf(["run", "-c", "4"], limit: .seconds(800)) }
                }
                defer { workers.cancelAll() }
                try await crew.serve(2) {
                    try await load(crew, ledger)
                    try await finish(crew, ledger)
                    try await halfMade(crew, site)
                }
            }
            #expect(await crew.deaths >= Self.kills)
            #expect(await crew.faults.prefix(5) == [])
            let batches = await ledger.batches
            let list = try #require(try await site.sheaf("list", "--json").json.arrayValue)
            let known = Set(list.compactMap { $0["batch_id"]?.stringValue })
            #expect(
                list.count == known.count && known == Set(batches.values).union(["half"]),
                "no key has made a second batch"
            )
            for (key, batch) in batches { try await check(batch, of: key, site, ledger) }
            print(
                "servers \(kind.rawValue): \(await crew.deaths) kills, \(await crew.responses) responses, "
                    + "\(batches.count) batches, \(await ledger.cancelled.count) cancelled, "
                    + "\(await ledger.retries) retries; \(ContinuousClock.now - start)"
            )
        }
    }

    /// Uses the servers from many clients, and kills one after the other.
    private func load(_ crew: ServerCrew, _ ledger: Ledger) async throws {
        try await withThrowingTaskGroup(of: Void.self) { others in
            for _ in 0..<3 { others.addTask { try await follow(crew) } }
            for _ in 0..<2 { others.addTask { try await read(crew, ledger) } }
            others.addTask { try await control(crew, ledger) }
            defer { others.cancelAll() }
            try await withThrowingTaskGroup(of: Void.self) { creators in
                for _ in 0..<2 {
                    creators.addTask {
                        while let (key, flow, records) = await ledger.nextKey() {
                            try await ledger.note(create(crew, key, flow, records), of: key)
                        }
                    }
                }
                creators.addTask { [crew] in
                    for number in 0..<Self.kills {
                        let goal = await crew.responses + 5 + number * 7 % 40
                        while await crew.responses < goal { try await Task.sleep(for: .milliseconds(5)) }
                        while await !crew.kill() { try await Task.sleep(for: .milliseconds(5)) }
                    }
                    await ledger.end()
                }
                try await creators.waitForAll()
            }
        }
    }

    private func create(_ crew: ServerCrew, _ key: String, _ flow: String, _ records: Int) async throws -> String {
        let lines = (0..<records).map { "{\"n\":\($0)\($0 % 10 == 9 ? ",\"bad\":1" : "")}\n" }.joined()
        let response = try await crew.insist(
            "POST",
            "/api/batches?flow=\(flow)",
            [("Content-Type", "application/jsonl"), ("Idempotency-Key", key)],
            body: Array(lines.utf8),
            on: [200, 201]
        )
        let json = try response.json
        #expect(json["total"]?.intValue == records && json["sealed"] == true)
        let batch = try #require(json["batch_id"]?.stringValue)
        #expect(response.location == "/api/batches/\(batch)")
        return batch
    }

    private func follow(_ crew: ServerCrew) async throws {
        var last: String?
        while !Task.isCancelled {
            last = try await crew.follow(after: last) { event in
                guard let counts = event["counts"], let total = event["total"]?.intValue else { return }
                #expect(BatchCounts(json: counts).total <= total)
            }
        }
    }

    private func read(_ crew: ServerCrew, _ ledger: Ledger) async throws {
        while !Task.isCancelled {
            for path in Self.paths {
                let batch = await ledger.batches.values.randomElement() ?? "last"
                _ = try await crew.send("GET", path.replacing("ID", with: batch))
            }
        }
    }

    private func control(_ crew: ServerCrew, _ ledger: Ledger) async throws {
        var random = SeededGenerator(state: 14)
        while !Task.isCancelled {
            guard let batch = await ledger.batches.values.randomElement(using: &random) else {
                try await Task.sleep(for: .milliseconds(50))
                continue
            }
            let path = "/api/batches/\(batch)"
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                await ledger.cancel(batch)
                _ = try await crew.send("DELETE", path)
            case 1...3:
                _ = try await crew.send("POST", path + "/pause")
                _ = try await crew.send("POST", path + "/resume")
            case 4:
                _ = try await crew.send("PATCH", path, body: Array(#"{"max_running":3}"#.utf8))
                _ = try await crew.send("PATCH", path, body: Array(#"{"max_running":null}"#.utf8))
            default:
                let response = try await crew.send("POST", path + "/retry")
                if response?.status == 202 { await ledger.retry() }
            }
            try await Task.sleep(for: .milliseconds(30))
        }
    }

    /// Repeats every creation, and waits until every batch has ended.
    private func finish(_ crew: ServerCrew, _ ledger: Ledger) async throws {
        for (key, batch) in await ledger.batches {
            let number = try #require(Int(key.dropFirst(4)))
            let (flow, records) = number.isMultiple(of: 3) ? ("echo", Self.large) : ("fixable", Self.small)
            #expect(try await create(crew, key, flow, records) == batch)
            // A server may have been killed between a pause and its end.
            if try await crew.insist("GET", "/api/batches/\(batch)").json["status"] == "paused" {
                _ = try await crew.insist("POST", "/api/batches/\(batch)/resume")
            }
        }
        for batch in await ledger.batches.values {
            while try await crew.insist("GET", "/api/batches/\(batch)").json["finished_at"] == .null {
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    /// A batch whose server is killed while it publishes is reported as interrupted, and the command resumes it.
    private func halfMade(_ crew: ServerCrew, _ site: Site) async throws {
        let count = 60_000
        let lines = (0..<count).map { "\($0)\n" }.joined()
        async let creation = crew.send(
            "POST",
            "/api/batches?flow=echo&batch_id=half",
            [("Content-Type", "application/jsonl")],
            body: Array(lines.utf8)
        )
        try await site.bench.until("tasks are published") {
            try await site.sheaf("status", "half", "--json").output.contains("\"sealed\":false")
        }
        while await crew.living > 0 { _ = await crew.kill() }
        let response = try await creation
        if response == nil {
            let status = try await crew.insist("GET", "/api/batches/half").json
            #expect(status["sealed"] == false)
            try await site.bench.until("the batch is reported as interrupted") {
                try await crew.insist("GET", "/api/batches/half").json["interrupted"] == true
            }
            let run = try await site.sheaf("create", "--resume", "half", "-", input: lines)
            #expect(run.code == 0, "\(run.talk)")
        }
        while try await crew.insist("GET", "/api/batches/half").json["finished_at"] == .null {
            try await Task.sleep(for: .milliseconds(100))
        }
        try await site.complete(BatchCounts(succeeded: count), of: "half")
    }

    private func check(_ batch: String, of key: String, _ site: Site, _ ledger: Ledger) async throws {
        let number = try #require(Int(key.dropFirst(4)))
        let isLarge = number.isMultiple(of: 3)
        let total = isLarge ? Self.large : Self.small
        let failed = isLarge ? 0 : Self.small / 10
        guard await ledger.cancelled.contains(batch) else {
            try await site.complete(BatchCounts(succeeded: total - failed, failed: failed), of: batch)
            return
        }
        let (json, counts) = try await site.status(of: batch)
        #expect(json["interrupted"] == false && counts.total == total && counts.pending == 0 && counts.running == 0)
        // Tasks that the cancellation removed from the queue have no row.
        let rows = try await site.rows(of: batch)
        #expect(Set(rows.compactMap { $0["index"]?.intValue }).count == rows.count)
        for (status, count) in [("succeeded", counts.succeeded), ("failed", counts.failed)] {
            #expect(rows.count { $0["status"]?.stringValue == status } == count)
        }
    }
}

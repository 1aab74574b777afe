import Sheaf
import SheafCore
import SheafFlows
import SheafTestSupport
import Testing

@Suite("API: events") struct EventStreamTests {
    @Test("A stream of one batch begins with its state and ends with the batch", arguments: BrokerKind.allCases)
    func oneBatch(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            let gate = Gate()
            let flow = try FlowDefinition.work { _ in
                await gate.wait()
                return .text("done")
            }
            let batch = try await api.client.create(plan(), records: records(8))
            let path = "batches/\(batch.id)/events"
            // The server reads behind the creator, and a stream begins with what it has read.
            try await until("the server knows all tasks") { try await api.get("batches/\(batch.id)")["total"] == 8 }
            async let working = api.stage.work([flow])
            let start = ContinuousClock.now
            var events: [ServerSentEvent] = []
            try await api.follow(path) { event in
                events.append(event)
                if event.json["counts"]?["running"] != 0 { await gate.open() }
                return true
            }
            let seconds = (ContinuousClock.now - start) / .seconds(1)
            _ = try await working
            let first = try #require(events.first)
            let last = try #require(events.last)
            #expect(events.allSatisfy { $0.name == "batch" && $0.json["batch_id"] == .string(batch.id.text) })
            #expect(first.json["total"] == 8)
            #expect(last.status == "completed" && last.json["counts"]?["succeeded"] == 8)
            #expect(Double(events.count) <= 2 * seconds + 2, "\(events.count) events in \(seconds) s")

            // A browser that reconnects after the end is told to stop; one that missed the end is told the end.
            let repeated = try await api.follow(path, lastEvent: last.id) { _ in true }
            #expect(repeated == 204)
            var late: [ServerSentEvent] = []
            try await api.follow(path, lastEvent: first.id) { event in
                late.append(event)
                return true
            }
            #expect(late.map(\.status) == ["completed"] && late.map(\.json) == [last.json])
            let missing = try await api.follow("batches/missing/events") { _ in true }
            #expect(missing == 404)
        }
    }

    @Test("A stream of all batches reports new, changed and deleted batches", arguments: BrokerKind.allCases)
    func allBatches(kind: BrokerKind) async throws {
        try await APIStage.with(kind) { api in
            let first = try await api.client.create(plan(), records: records(1))
            try await until("it is listed") { try await api.get("batches/\(first.id)").status == 200 }
            var seen: [String] = []
            var second: CreatedBatch?
            var beforeEnd = ""
            try await api.follow("events") { event in
                let id = event.json["batch_id"]?.stringValue ?? ""
                if let second, id == second.id.text {
                    seen.append("second \(event.name) \(event.status ?? "")")
                } else {
                    seen.append("first \(event.name) \(event.status ?? "")")
                }
                switch seen.last {
                case "first batch pending":
                    if second == nil { second = try await api.client.create(plan(), records: records(1)) }
                case "second batch pending":
                    beforeEnd = event.id
                    if let second { try await api.client.runByHand(second) }
                case "second batch completed":
                    #expect(try await api.send("POST", "batches/\(first.id)/pause").status == 200)
                case "first batch paused":
                    #expect(try await api.send("DELETE", "batches/\(first.id)/data?force=true").status == 200)
                case "first deleted ": return false
                default: break
                }
                return true
            }
            #expect(seen.first == "first batch pending", "\(seen)")
            #expect(seen.contains("second batch completed") && seen.last == "first deleted ", "\(seen)")

            // Without a last event only open batches are sent; with one, those that have ended since then too.
            let third = try await api.client.create(plan(), records: records(1))
            let (secondID, thirdID) = (try #require(second?.id.text), third.id.text)
            try await until("it is listed") { try await api.get("batches/\(third.id)").status == 200 }
            for (last, expected) in [(nil, [thirdID]), (beforeEnd, [secondID, thirdID])] as [(String?, [String])] {
                var ids: [String] = []
                try await api.follow("events", lastEvent: last) { event in
                    ids.append(event.json["batch_id"]?.stringValue ?? "")
                    return ids.count < expected.count
                }
                #expect(ids == expected)
            }
        }
    }

    @Test("A client that does not read gets the newest state, without what came in between")
    func slowClient() async throws {
        try await APIStage.with { api in
            let batch = try await api.client.create(plan(), records: records(40))
            var counts: [Int] = []
            try await api.follow("batches/\(batch.id)/events") { event in
                counts.append(event.json["counts"]?["succeeded"]?.intValue ?? -1)
                if counts.count == 1 {
                    // All outcomes are counted while this client is busy.
                    for count in 1...4 {
                        try await api.client.runByHand(batch, atMost: 10)
                        try await until("\(count * 10) are counted") {
                            try await api.get("batches/\(batch.id)")["counts"]?["succeeded"]?.intValue == count * 10
                        }
                    }
                }
                return true
            }
            #expect(counts.first == 0 && counts.last == 40 && counts == counts.sorted(), "\(counts)")
        }
    }

    @Test("Streams end when the server is told to end")
    func shutdown() async throws {
        try await APIStage.with { api in
            let batch = try await api.client.create(plan(), records: records(1))
            try await until("it is listed") { try await api.get("batches/\(batch.id)").status == 200 }
            try await withThrowingTaskGroup(of: Void.self) { group in
                let open = Gauge()
                for path in ["events", "batches/\(batch.id)/events"] {
                    group.addTask {
                        try await api.follow(path) { _ in
                            await open.enter()
                            if await open.total == 2 { await api.drain() }
                            return true
                        }
                    }
                }
                try await group.waitForAll()
                #expect(await open.total >= 2)
            }
        }
    }

    @Test("The state of a batch is serialised once for a hundred clients, and costs little")
    func hundredClients() async throws {
        try await APIStage.with { api in
            let batch = try await api.client.create(plan(), records: records(30))
            try await until("it is listed") { try await api.get("batches/\(batch.id)").status == 200 }
            let joined = Gauge()
            try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<100 {
                    group.addTask {
                        var ids: [String] = []
                        try await api.follow("batches/\(batch.id)/events") { event in
                            if ids.isEmpty { await joined.enter() }
                            ids.append(event.id)
                            return true
                        }
                        return ids
                    }
                }
                try await until("all clients listen") { await joined.total == 100 }
                for _ in 0..<3 {
                    try await api.client.runByHand(batch, atMost: 10)
                    try await Task.sleep(for: .seconds(1))
                }
                var ends: Set<String> = []
                for try await ids in group {
                    #expect(ids.count >= 2 && Set(ids).count == ids.count)
                    if let last = ids.last { ends.insert(last) }
                }
                #expect(ends.count == 1, "all clients get the same event")
            }
        }
    }
}

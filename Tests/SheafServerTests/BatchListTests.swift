import Sheaf
import SheafCore
import SheafTestSupport
import Testing

@Suite("API: batches") struct BatchListTests {
    @Test("A list of 120 batches is read page by page, newest first")
    func pages() async throws {
        try await APIStage.with { api in
            var ids: [String] = []
            for number in 0..<120 {
                let name = try #require(Name("b\(number)"))
                ids.insert(try await api.client.create(plan { $0.id = name }, records: records(1)).id.text, at: 0)
            }
            try await until("all are listed") {
                try await api.get("batches?limit=500")["batches"]?.arrayValue?.count == 120
            }
            var read: [String] = []
            var sizes: [Int] = []
            var next: String? = ""
            while let after = next {
                let page = try await api.get("batches?limit=50" + (after.isEmpty ? "" : "&after=\(after)"))
                #expect(page.status == 200)
                let batches = try #require(page["batches"]?.arrayValue)
                sizes.append(batches.count)
                read += batches.compactMap { $0["batch_id"]?.stringValue }
                next = page["next"]?.stringValue
                // A cursor stays valid if its batch is deleted.
                if let last = batches.last?["batch_id"]?.stringValue, sizes.count == 1 {
                    #expect(try await api.send("DELETE", "batches/\(last)/data?force=true").status == 200)
                }
            }
            #expect(sizes == [50, 50, 20])
            #expect(read == ids)
            #expect(try await api.get("batches")["batches"]?.arrayValue?.count == 50, "the default limit")
        }
    }

    @Test("A list is filtered by status, flow and text; what is unknown is refused by name")
    func filters() async throws {
        try await APIStage.with { api in
            let other = BatchPlan(flow: "other", id: "the-other")
            let tagged = try plan {
                $0.id = "first-one"
                $0.options.tags = ["team": "search", "run": "1"]
            }
            let first = try await api.client.create(tagged, records: records(2))
            let second = try await api.client.create(other, records: records(2))
            try await api.client.runByHand(first)
            try await until("the first one is complete") {
                try await api.get("batches/first-one")["status"] == "completed"
            }
            func ids(_ query: String) async throws -> [String] {
                let list = try await api.get("batches?\(query)")["batches"]?.arrayValue ?? []
                return list.compactMap { $0["batch_id"]?.stringValue }
            }
            #expect(try await ids("") == [second.id.text, first.id.text])
            #expect(try await ids("status=completed") == ["first-one"])
            #expect(try await ids("status=pending,paused") == ["the-other"])
            #expect(try await ids("flow=work&flow=other").count == 2)
            #expect(try await ids("flow=other") == ["the-other"])
            #expect(try await ids("q=FIRST") == ["first-one"])
            #expect(try await ids("q=nothing") == [])
            #expect(try await ids("tag=team") == ["first-one"])
            #expect(try await ids("tag=team=search&tag=run=1") == ["first-one"])
            #expect(try await ids("tag=team=search&tag=run=2") == [])
            for (query, word) in [
                ("colour=red", "'colour'"), ("status=red", "'red'"), ("limit=501", "'501'"), ("limit=0", "'0'"),
                ("after=x", "after=x"), ("tag=a%20b", "tag=a b"),
            ] {
                let answer = try await api.get("batches?\(query)")
                #expect(answer.status == 400 && answer.detail.contains(word), "\(query)")
            }
            #expect(try await api.get("batches/first-one?x=1").status == 400)
            #expect(try await api.get("batches/missing").status == 404)
            #expect(try await api.get("batches/last")["batch_id"] == "the-other")
        }
    }

    @Test("An unchanged batch is answered with 304")
    func entityTags() async throws {
        try await APIStage.with { api in
            let batch = try await api.client.create(plan(), records: records(2))
            try await until("it is sealed") { try await api.get("batches/\(batch.id)")["sealed"] == true }
            for path in ["batches/\(batch.id)", "batches"] {
                let tag = try #require(try await api.get(path).headers["etag"])
                #expect(try await api.get(path, headers: ["If-None-Match": tag]).status == 304)
                #expect(try await api.get(path, headers: ["If-None-Match": "\"x\", \(tag)"]).status == 304)
                #expect(try await api.get(path, headers: ["If-None-Match": "\"x\""]).status == 200)
                #expect(try await api.send("POST", "batches/\(batch.id)/pause").status == 200)
                #expect(try await api.get(path, headers: ["If-None-Match": tag]).status == 200)
                #expect(try await api.send("POST", "batches/\(batch.id)/resume").status == 200)
            }
        }
    }

    @Test("The journal of a batch is read page by page")
    func journal() async throws {
        try await APIStage.with { api in
            let batch = try await api.client.create(plan(), records: records(5))
            try await api.client.runByHand(batch) { $0.index == 3 ? .failed : .succeeded }
            try await until("it ends") { try await api.get("batches/\(batch.id)")["status"] == "completed" }
            let path = "batches/\(batch.id)/journal"
            let whole = try #require(try await api.get(path + "?limit=500")["events"]?.arrayValue)
            let words = whole.compactMap { $0["event"]?.stringValue }
            #expect(words.first == "created" && words.last == "finished" && words.count { $0 == "succeeded" } == 4)
            var read: [JSONValue] = []
            var next: String? = "0"
            while let after = next {
                let page = try await api.get("\(path)?limit=3&after=\(after)")
                read += page["events"]?.arrayValue ?? []
                next = page["next"]?.stringValue
                #expect(page["events"]?.arrayValue?.count == 3 || next == nil)
            }
            #expect(read == whole)
            let one = try #require(try await api.get(path + "?index=3")["events"]?.arrayValue)
            #expect(one.contains { $0["event"] == "failed" } && !one.contains { $0["index"] == 2 })
            #expect(try await api.get(path + "?index=9").status == 404)
        }
    }
}
